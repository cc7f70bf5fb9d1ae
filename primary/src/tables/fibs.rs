//! The FIBs of both families, asked and changed as one.

use std::net::IpAddr;

use fib::{Fib4Writer, Fib6Error, Fib6Writer, FibError, NextHop, Quiescence};
use ipnet::IpNet;

use crate::adjacency;

/// What workers forward by.
pub struct Fibs<F, A> {
    /// IPv4.
    pub four: Fib4Writer<F>,
    /// IPv6.
    pub six: Fib6Writer<A>,
}

/// Why a FIB took no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FibRefusal {
    /// That of IPv4.
    #[error(transparent)]
    Four(#[from] FibError),
    /// That of IPv6.
    #[error(transparent)]
    Six(#[from] Fib6Error),
}

impl<F: fib::Storage, A: adjacency::Storage> Fibs<F, A> {
    pub(super) fn get(&self, prefix: IpNet) -> Option<NextHop> {
        match prefix {
            IpNet::V4(prefix) => self.four.get(prefix),
            IpNet::V6(prefix) => self.six.get(prefix),
        }
    }

    pub(super) fn insert(&mut self, prefix: IpNet, next_hop: NextHop) -> Result<(), FibRefusal> {
        match prefix {
            IpNet::V4(prefix) => drop(self.four.insert(prefix, next_hop)?),
            IpNet::V6(prefix) => drop(self.six.insert(prefix, next_hop)?),
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, prefix: IpNet) {
        match prefix {
            IpNet::V4(prefix) => drop(self.four.remove(prefix)),
            IpNet::V6(prefix) => drop(self.six.remove(prefix)),
        }
    }

    /// What a worker finds.
    pub(super) fn lookup(&self, address: IpAddr) -> NextHop {
        match address {
            IpAddr::V4(address) => self.four.reader().lookup(address.into()),
            IpAddr::V6(address) => self.six.reader().lookup(address.into()),
        }
    }

    /// Makes free what no worker can be reading any more; gives the number of things.
    pub(super) fn reclaim(&mut self, quiescence: &Quiescence) -> usize {
        self.four.reclaim(quiescence) + self.six.reclaim(quiescence)
    }
}
