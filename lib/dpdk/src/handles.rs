//! The count of everything that lives in DPDK's memory, so that EAL is not shut down under it.
//!
//! There is one EAL in a process, so the counts are the process's.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What can keep EAL from being shut down, beside mbufs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandleKind {
    /// A port, or a queue of it.
    Port,
    /// A pool of mbufs.
    Pool,
    /// An end of a ring.
    Ring,
    /// A slice in hugepages.
    HugeSlice,
    /// A packet filter.
    Filter,
    /// A function that still runs on an lcore.
    Lcore,
    /// A crypto device, or a queue of it.
    CryptoDevice,
    /// A pool of crypto sessions, or a session of it.
    SessionPool,
}

impl HandleKind {
    const ALL: [Self; 8] = [
        Self::Port,
        Self::Pool,
        Self::Ring,
        Self::HugeSlice,
        Self::Filter,
        Self::Lcore,
        Self::CryptoDevice,
        Self::SessionPool,
    ];

    fn noun(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Pool => "pool",
            Self::Ring => "ring",
            Self::HugeSlice => "hugepage slice",
            Self::Filter => "packet filter",
            Self::Lcore => "running lcore",
            Self::CryptoDevice => "crypto device",
            Self::SessionPool => "crypto session pool",
        }
    }
}

static LIVE: [AtomicUsize; HandleKind::ALL.len()] = [const { AtomicUsize::new(0) }; HandleKind::ALL.len()];

/// A share in EAL, held by everything that uses DPDK's memory. It must be the last thing dropped there: fields drop
/// in the order of their declaration, and after `Drop::drop` of the structure.
pub(crate) struct Lease(HandleKind);

impl Lease {
    /// Only for callers that have an `&Eal`, which is what makes EAL alive.
    pub(crate) fn new(kind: HandleKind) -> Self {
        LIVE[kind as usize].fetch_add(1, Ordering::Relaxed);
        Self(kind)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release: what was done with the memory comes before the count that lets it be unmapped.
        LIVE[self.0 as usize].fetch_sub(1, Ordering::Release);
    }
}

/// The handles that live now, those kinds only of which there are any.
pub(crate) fn live() -> Vec<(HandleKind, usize)> {
    HandleKind::ALL
        .into_iter()
        .map(|kind| (kind, LIVE[kind as usize].load(Ordering::Acquire)))
        .filter(|&(_, count)| count > 0)
        .collect()
}

/// What was still in use when EAL was to be shut down.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InUse {
    /// Live handles by kind.
    pub handles: Vec<(HandleKind, usize)>,
    /// Pools with mbufs outside.
    pub mbufs: Vec<PoolInUse>,
}

/// A pool with mbufs outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolInUse {
    /// Its name.
    pub pool: String,
    /// How many mbufs are outside.
    pub count: u32,
    /// A driver that had the pool and is known not to give back all mbufs when its port is closed.
    pub keeper: Option<&'static str>,
}

impl InUse {
    /// True if EAL can be shut down.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty() && self.mbufs.is_empty()
    }

    /// True if this program has lost something, false if a driver may account for all of it.
    pub fn is_leak(&self) -> bool {
        !self.handles.is_empty() || self.mbufs.iter().any(|mbufs| mbufs.keeper.is_none())
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, count) in &self.handles {
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{separator}{count} {}{plural}", kind.noun())?;
            separator = ", ";
        }
        for PoolInUse { pool, count, keeper } in &self.mbufs {
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{separator}{count} mbuf{plural} of pool {pool}")?;
            if let Some(driver) = keeper {
                write!(f, " ({driver} does not give back all it had)")?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_reads_as_a_list() {
        let in_use = InUse {
            handles: vec![(HandleKind::Port, 1), (HandleKind::Ring, 2)],
            mbufs: vec![PoolInUse {
                pool: "rx".to_owned(),
                count: 3,
                keeper: None,
            }],
        };
        assert_eq!(in_use.to_string(), "1 port, 2 rings, 3 mbufs of pool rx");
        assert!(!in_use.is_empty() && in_use.is_leak());
        assert!(InUse::default().is_empty());
    }

    #[test]
    fn what_a_driver_keeps_is_no_leak() {
        let kept = PoolInUse {
            pool: "xdp".to_owned(),
            count: 2048,
            keeper: Some("net_af_xdp"),
        };
        let mut in_use = InUse {
            handles: Vec::new(),
            mbufs: vec![kept.clone()],
        };
        assert!(!in_use.is_leak() && !in_use.is_empty());
        assert_eq!(
            in_use.to_string(),
            "2048 mbufs of pool xdp (net_af_xdp does not give back all it had)"
        );
        in_use.mbufs.push(PoolInUse { keeper: None, ..kept });
        assert!(in_use.is_leak());
    }

    #[test]
    fn a_lease_counts_while_it_lives() {
        let lease = Lease::new(HandleKind::HugeSlice);
        assert_eq!(live(), [(HandleKind::HugeSlice, 1)]);
        drop(lease);
        assert_eq!(live(), []);
    }
}
