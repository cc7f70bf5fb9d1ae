//! Proves that reserved pages can be had: maps them and touches every one, as EAL will.
//!
//! A page that is missing when a mapping is touched is SIGBUS, and in a control group with a limit on huge pages the
//! kernel's count promises nothing. So each mapping is populated by mmap(2), which keeps quiet about failures, then what
//! the process really has is read, and only then is it touched.

use std::fs;
use std::hint::black_box;
use std::io;

use memmap2::{MmapMut, MmapOptions};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::host::kib_field;
use crate::numa_maps;
use crate::pool::Pool;
use crate::size::PageSize;

/// Bytes mapped between two reports of progress.
const CHUNK: u64 = 256 << 20;

/// What came out.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Pages that were mapped and touched, all at the same time.
    pub(crate) proved: u64,
    /// Of these, those that lay on the pool's node; all when the pool is the host's.
    pub(crate) on_node: u64,
    /// What stopped it, when not all could be touched.
    pub(crate) stopped: Option<String>,
}

/// Maps and touches `pages` pages of the pool at the same time and gives them back. For the pool of a node the thread
/// that touches runs on `cpus`, the CPUs of the node: the kernel takes a page from where it is touched first.
pub(crate) fn prove(pool: &Pool, pages: u64, cpus: &[usize], report: &mut (dyn FnMut(u64) + Send)) -> Proof {
    let touch = || {
        if pool.node.is_some()
            && let Err(error) = pin(cpus)
        {
            let stopped = Some(format!(
                "this process may not run on the CPUs of the node ({error})"
            ));
            return Proof {
                proved: 0,
                on_node: 0,
                stopped,
            };
        }
        let mut held = Vec::new();
        let mut proved = 0;
        let mut stopped = None;
        while proved < pages && stopped.is_none() {
            let next = (CHUNK / pool.size.bytes()).clamp(1, pages - proved);
            match map_and_touch(pool.size, next, proved) {
                Ok(mapping) => {
                    held.push(mapping);
                    proved += next;
                    report(proved);
                }
                Err(error) => stopped = Some(error.to_string()),
            }
        }
        let on_node = pool.node.map_or(proved, |node| {
            let text = fs::read_to_string("/proc/self/numa_maps").unwrap_or_default();
            numa_maps::parse(&text)
                .get(&(pool.size, node))
                .copied()
                .unwrap_or(0)
        });
        drop(held);
        Proof {
            proved,
            on_node,
            stopped,
        }
    };
    // A thread of its own, so that nothing else of the process is pinned.
    let ended = std::thread::scope(|scope| scope.spawn(touch).join());
    ended.unwrap_or_else(|_| Proof {
        proved: 0,
        on_node: 0,
        stopped: Some("the thread that touched them died".into()),
    })
}

fn pin(cpus: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

fn map_and_touch(size: PageSize, pages: u64, held: u64) -> io::Result<MmapMut> {
    let page = usize::try_from(size.bytes()).map_err(io::Error::other)?;
    let length = usize::try_from(pages)
        .ok()
        .and_then(|pages| pages.checked_mul(page));
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut mapping = MmapOptions::new()
        .len(length)
        .huge(Some(size.bits()))
        .populate()
        .map_anon()?;
    let status = fs::read_to_string("/proc/self/status")?;
    let present = kib_field(&status, "HugetlbPages").unwrap_or(0) * 1024;
    if present < (held + pages) * size.bytes() {
        return Err(io::Error::other(
            "the kernel mapped them without giving them (a control group's limit on huge pages?)",
        ));
    }
    for page in mapping.chunks_exact_mut(page) {
        page[0] = 1;
        black_box(&page[0]);
    }
    Ok(mapping)
}
