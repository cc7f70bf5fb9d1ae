//! What packets are looked up in, in hugepages.

use std::sync::atomic::{AtomicU32, AtomicU64};

use dpdk::{Eal, HugeSlice, NumaNode};
use fib::{Fib4Writer, Fib6Writer, GROUP_ENTRIES, TBL24_ENTRIES};
use shm::TableWriter;

use super::Failure;
use crate::adjacency::{self, AdjacencyWriter};
use crate::config::Config;
use crate::plan::Plan;
use crate::tables::{Fibs, Limits, Tables};

/// Hugepage memory of the tables that workers look things up in.
pub type FibStorage = HugeSlice<AtomicU32>;
/// Hugepage memory of the adjacencies.
pub type AdjacencyStorage = HugeSlice<AtomicU64>;

/// The tables, all of their memory taken, and shown in `region`.
pub(super) fn tables(
    eal: &Eal,
    config: &Config,
    plan: &Plan,
    region: &TableWriter,
    node: NumaNode,
) -> Result<Tables<FibStorage, AdjacencyStorage>, Failure> {
    let fib4 = Fib4Writer::new(
        HugeSlice::<AtomicU32>::new(eal, TBL24_ENTRIES, node)?,
        HugeSlice::<AtomicU32>::new(eal, plan.tbl8_groups * GROUP_ENTRIES, node)?,
        plan.fib_routes4,
    )?;
    let fib6 = Fib6Writer::new(
        HugeSlice::<AtomicU64>::new(eal, plan.fib6_words, node)?,
        plan.fib_routes6,
    )?;
    let words = plan.adjacencies * adjacency::WORDS + plan.groups * adjacency::GROUP_WORDS;
    let adjacencies =
        AdjacencyWriter::with_groups(HugeSlice::<AtomicU64>::new(eal, words, node)?, plan.groups);
    let limits = Limits {
        routes4: config.limits.routes4 as usize,
        routes6: config.limits.routes6 as usize,
        neighbors: config.limits.neighbors as usize,
        addresses: config.limits.addresses as usize,
        groups: config.limits.groups as usize,
        sas: config.limits.sas as usize,
    };
    let fibs = Fibs {
        four: fib4,
        six: fib6,
    };
    let mut tables = Tables::new(fibs, adjacencies, region, limits)?;
    tables.set_workers(config.workers.lcores.len());
    Ok(tables)
}
