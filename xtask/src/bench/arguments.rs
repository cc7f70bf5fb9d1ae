//! What `cargo xtask bench` is asked for.

use clap::{Args, ValueEnum};

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Fewer and shorter rounds: to see that it works, not for the record.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this part; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Part>,
    /// Uses hugepages that are reserved already and leaves the host's number of them alone: where others use them too.
    #[arg(long)]
    pub(crate) reserved: bool,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Packets per second, beside testpmd and l3fwd.
    Forwarding,
    /// What features cost that are on but not used: instructions and time.
    Features,
    /// What captures leave a worker of its speed, and what they write, beside dpdk-dumpcap.
    Capture,
    /// Routes changed per second, idle and under full load.
    Changes,
    /// Time to the first packet, memory, and time to load a million routes.
    Start,
    /// Router alerts relayed, beside a raw socket of the kernel.
    Relay,
    /// Packets sealed and opened by ESP, beside DPDK's own programs, and SAs installed.
    Ipsec,
    /// IKE SAs made, beside strongSwan, and what 10,000 of them take.
    Ike,
    /// Packets of connections translated, beside testpmd, and connections made.
    Services,
}

impl Arguments {
    /// The parts to measure, in the order in which they are told.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| self.only.is_empty() || self.only.contains(part))
            .collect()
    }
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::Features => "features",
            Self::Capture => "capture",
            Self::Changes => "changes",
            Self::Start => "start",
            Self::Relay => "relay",
            Self::Ipsec => "ipsec",
            Self::Ike => "ike",
            Self::Services => "services",
        }
    }
}
