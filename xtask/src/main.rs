//! The commands of README and CI.
//!
//! A command goes through the same gates: the [right](session::privilege) to change the host (root, or an ordinary user with sudo), the
//! Debian packages it needs, its build, and a [`Host`](host::Host) prepared with hugepages and put back
//! as it was. A signal ends the work in hand, never the way back.

#![forbid(unsafe_code)]

mod bench;
mod cargo;
mod demo;
mod error;
mod fuzz;
mod host;
mod hugepages;
mod instructions;
mod kept;
mod lint;
mod machine;
mod packages;
mod progress;
mod session;
mod summary;
mod system_tests;
mod tally;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use ::tests::RunId;
use clap::{Parser, Subcommand};

use crate::progress::say;

/// The commands of README and CI.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:\n  cargo xtask demo               two hosts talk through a primary; everything is put back\n  \
                  cargo xtask demo --keep        leaves it up to play with\n  \
                  cargo xtask demo ra            a packet with a router alert is read on its way\n  \
                  cargo xtask test               unit tests and whole-system tests\n  \
                  cargo xtask test forwarding    only the tests with `forwarding` in their names\n  \
                  cargo xtask test --vm a_guest  the tests in a virtual machine, on emulated network cards\n  \
                  cargo xtask test --vm a_kernel a Linux kernel in a virtual machine as the other end of ESP, GRE and IP in IP\n  \
                  cargo xtask fuzz stages        packets that a fuzzer thinks up, through the stages of the primary\n  \
                  cargo xtask bench              packets per second, beside DPDK's own programs, and what else is fast or slow\n  \
                  cargo xtask bench --quick --only forwarding"
)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

/// Demos besides the main one.
#[derive(Clone, Copy, clap::ValueEnum)]
enum OtherDemo {
    /// A packet with a router alert is read on its way.
    Ra,
    /// Two gateways agree on keys, and two hosts talk through what these protect.
    Ike,
}

#[derive(Subcommand)]
enum Task {
    /// Shows two hosts that talk through a primary.
    Demo {
        /// Something else: `ra` shows a packet with a router alert that is read on its way, `ike` two gateways that agree on keys.
        #[arg(value_enum, conflicts_with_all = ["keep", "down"])]
        what: Option<OtherDemo>,
        /// Leaves everything up and says how to look at it and how to take it down.
        #[arg(long)]
        keep: bool,
        /// Takes down what `--keep` left up.
        #[arg(long, conflicts_with = "keep")]
        down: bool,
    },
    /// Runs unit tests and whole-system tests.
    Test {
        /// Runs the system tests at full length: minutes each, not seconds.
        #[arg(long)]
        soak: bool,
        /// Runs also the tests with virtual machines: a primary in one drives emulated e1000 and virtio cards by itself, and the kernel of
        /// another is the other end of tunnels: six minutes.
        #[arg(long)]
        vm: bool,
        /// Runs only the tests whose names hold this.
        filter: Option<String>,
    },
    /// Measures packets per second beside testpmd and l3fwd, unused features, route changes, start time and memory, ESP, IKE, and relayed router alerts.
    #[command(
        after_help = "Writes bench.json, bench.md and bench.svg into target/bench. Takes an hour; the host should have nothing else to do."
    )]
    Bench(bench::arguments::Arguments),
    /// Looks for inputs that upset whatever reads bytes from outside.
    Fuzz {
        /// Which target; all, if none is named.
        target: Option<String>,
        /// How long for each target, seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Counts the instructions that a packet takes in the stages, and compares them with their bounds; `test` does so too.
    Instructions {
        /// Makes what is counted the figures, with new bounds: for a change that is meant to cost, or to save.
        #[arg(long)]
        accept: bool,
    },
    /// Checks format, clippy, dependencies and licences.
    Lint,
    /// Removes what a run has left; run by the other commands, as root.
    #[command(hide = true)]
    Sweep {
        /// Which run.
        #[arg(value_parser = |text: &str| RunId::parse(text).ok_or("lower-case letters and digits"))]
        run: RunId,
    },
    /// Installs SAs and tells how long that took, in seconds; run by the bench, as root.
    #[command(hide = true)]
    InstallSas {
        /// Of the primary.
        run_dir: PathBuf,
        /// Its name.
        instance: String,
        /// Whose they are.
        side: bench::ipsec::sas::Side,
        /// How many tunnels have them, or how many there are.
        count: u32,
        /// How many by a request.
        at_a_time: usize,
    },
    /// Tells how many packets a program of DPDK sends per second; run by the bench, as root.
    #[command(hide = true)]
    Rate {
        /// Of its telemetry.
        socket: PathBuf,
        /// Its port.
        port: u16,
        /// How long to count.
        milliseconds: u64,
    },
}

fn main() -> ExitCode {
    cargo::own_program();
    let done = session::catch_signals().and_then(|()| match Arguments::parse().command {
        Task::Demo { down: true, .. } => kept::take_down(),
        Task::Demo {
            what: Some(OtherDemo::Ra),
            ..
        } => demo::router_alert::run(),
        Task::Demo {
            what: Some(OtherDemo::Ike),
            ..
        } => demo::ike::run(),
        Task::Demo { keep, .. } => demo::run(keep),
        Task::Test { soak, vm, filter } => system_tests::run(soak, vm, filter.as_deref()),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Rate {
            socket,
            port,
            milliseconds,
        } => bench::telemetry::tell_rate(&socket, port, Duration::from_millis(milliseconds)),
        Task::InstallSas {
            run_dir,
            instance,
            side,
            count,
            at_a_time,
        } => bench::ipsec::sas::tell_install(&run_dir, &instance, side, count, at_a_time),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Task::Instructions { accept } => instructions::run(accept),
        Task::Lint => lint::run(),
        Task::Sweep { run } => host::sweep_here(&run),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("xtask: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
