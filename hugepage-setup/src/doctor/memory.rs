//! Huge pages, where they are mounted, and what keeps a process from taking them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::report::{Finding, Level};
use crate::host::{Host, entries};
use crate::mounts::{self, Mount};
use crate::pool::{Counts, Pool, place};
use crate::size::{Bytes, PageSize};

/// What an instance with the defaults takes: 256 MiB for EAL, the table region, and some attachments.
/// `tollgate-primary --check` says it exactly.
const NEEDED: u64 = 384 << 20;
/// A limit of a cgroup of the first version that is none: the kernel rounds 2^63 - 1 down to pages.
const NO_LIMIT: u64 = 1 << 62;

/// The findings. When an instance is about to be `started`, pages in use are as good as missing, and it is the NIC's
/// `node` that must have them.
pub(super) fn findings(host: &Host, started: bool, node: Option<u32>) -> Vec<Finding> {
    let pools = match Pools::read(host, node) {
        Ok(pools) => pools,
        Err(error) => return vec![Finding::problem("hugepages", error.to_string())],
    };
    let mut findings = pools.findings(started);
    findings.push(match mounts::all(host) {
        Ok(all) => mounted(&all, &pools),
        Err(error) => Finding::problem("mounts", error.to_string()),
    });
    findings.extend(cgroup(host, &pools));
    findings.extend(memlock(host));
    findings
}

/// The pools of all sizes.
struct Pools {
    all: Vec<PoolsOfSize>,
    /// The node that matters, on a host with several.
    node: Option<u32>,
    /// The size that the kernel takes when none is named.
    default: Option<PageSize>,
}

/// The pools of one size.
struct PoolsOfSize {
    size: PageSize,
    /// Of all nodes together.
    counts: Counts,
    nodes: Vec<(u32, Counts)>,
}

impl Pools {
    fn read(host: &Host, node: Option<u32>) -> Result<Self, crate::error::Error> {
        let mut all = Vec::new();
        for size in Pool::sizes(host)? {
            let mut nodes = Vec::new();
            for pool in Pool::nodes(host, size)? {
                nodes.extend(pool.node.zip(pool.counts().ok()));
            }
            let counts = Pool::find(host, size, None)?.counts()?;
            all.push(PoolsOfSize { size, counts, nodes });
        }
        let known = |node: &u32| {
            all.iter()
                .all(|of| of.nodes.len() > 1 && of.nodes.iter().any(|(number, _)| number == node))
        };
        Ok(Self {
            node: node.filter(known),
            all,
            default: host.default_page_size().ok(),
        })
    }

    /// The counts that matter, by size.
    fn counts(&self) -> impl Iterator<Item = (PageSize, Counts)> {
        self.all.iter().map(|of| {
            let of_node = of.nodes.iter().find(|(node, _)| Some(*node) == self.node);
            (of.size, of_node.map_or(of.counts, |(_, counts)| *counts))
        })
    }

    /// The size with the most free memory; of several without any the default one.
    fn best(&self) -> Option<(PageSize, Counts)> {
        self.counts().max_by_key(|(size, counts)| {
            (
                counts.unclaimed() * size.bytes(),
                counts.total * size.bytes(),
                Some(*size) == self.default,
            )
        })
    }

    fn findings(&self, started: bool) -> Vec<Finding> {
        let mut findings: Vec<_> = self
            .all
            .iter()
            .map(|PoolsOfSize { size, counts, nodes }| {
                let nodes: Vec<_> = nodes
                    .iter()
                    .map(|(node, counts)| format!("; node {node}: {}, {} free", counts.total, counts.free))
                    .collect();
                Finding::ok(
                    "hugepages",
                    format!(
                        "{} huge pages of {size}, {} free{}",
                        counts.total,
                        counts.unclaimed(),
                        nodes.concat()
                    ),
                )
            })
            .collect();
        findings.extend(self.best().and_then(|(size, counts)| {
            let free = counts.unclaimed() * size.bytes();
            let missing = NEEDED.saturating_sub(free).div_ceil(size.bytes());
            if missing == 0 {
                return None;
            }
            let enough_in_all = counts.persistent() * size.bytes() >= NEEDED;
            let level = if enough_in_all && !started {
                Level::Note
            } else {
                Level::Problem
            };
            let sentence = format!(
                "{} of huge pages are free {}, and an instance with the defaults takes about {}",
                Bytes(free),
                place(self.node),
                Bytes(NEEDED)
            );
            let node = self
                .node
                .map_or_else(String::new, |node| format!(" --node {node}"));
            let pages = counts.persistent() + missing;
            Some(Finding::new(level, "hugepages", sentence).run(format!(
                "tollgate-hugepage-setup reserve --size {size} --pages {pages}{node} --persist"
            )))
        }));
        findings
    }
}

/// Whether pages that there are can be had as files.
fn mounted(all: &[Mount], pools: &Pools) -> Finding {
    let huge: Vec<_> = all.iter().filter(|mount| mount.page_size.is_some()).collect();
    let size_option = |size: PageSize| {
        if Some(size) == pools.default {
            String::new()
        } else {
            format!(" --size {size}")
        }
    };
    let wanted = pools.best().map(|(size, _)| size);
    if huge.is_empty() {
        let option = wanted.map(size_option).unwrap_or_default();
        return Finding::problem("mounts", "huge pages are mounted nowhere")
            .run(format!("tollgate-hugepage-setup mount{option}"));
    }
    let names = |mounts: &[&Mount]| {
        let name = |mount: &&Mount| {
            let size = mount.page_size.map(|size| size.to_string()).unwrap_or_default();
            format!("those of {size} at {}", mount.path.display())
        };
        mounts.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let has_pages = |mount: &&Mount| {
        let of_mount = |(size, counts): (PageSize, Counts)| mount.page_size == Some(size) && counts.total > 0;
        pools.counts().any(of_mount)
    };
    let usable: Vec<_> = huge.iter().copied().filter(has_pages).collect();
    let reserved = pools.counts().any(|(_, counts)| counts.total > 0);
    if let (true, true, Some(size)) = (usable.is_empty(), reserved, wanted) {
        let sentence = format!(
            "huge pages of {size} are reserved, and mounted are only {}",
            names(&huge)
        );
        return Finding::problem("mounts", sentence)
            .run(format!("tollgate-hugepage-setup mount --size {size}"));
    }
    if !usable.is_empty() && usable.iter().all(|mount| is_full(mount)) {
        let sentence = format!(
            "the mount's own limit of size leaves no page to take of {}: remove what is dead there, or mount it anew",
            names(&usable)
        );
        return Finding::problem("mounts", sentence).run("tollgate-hugepage-setup clean");
    }
    Finding::ok("mounts", format!("huge pages are mounted: {}", names(&huge)))
}

/// Whether a mount with a limit has no page left below it.
fn is_full(mount: &Mount) -> bool {
    let page = mount.page_size.map_or(0, PageSize::bytes);
    mount.limit.is_some_and(|limit| used(&mount.path) + page > limit)
}

fn used(path: &Path) -> u64 {
    let files = entries(path).unwrap_or_default();
    let blocks = files
        .iter()
        .filter_map(|file| Some(fs::metadata(file).ok()?.blocks()));
    blocks.map(|blocks| blocks * 512).sum()
}

/// Limits of the control groups that this process is in, and a primary started from here will be.
fn cgroup(host: &Host, pools: &Pools) -> Option<Finding> {
    let limits = pools
        .all
        .iter()
        .filter_map(|of| lowest_limit(host, of.size))
        .map(|(limit, file)| {
            let sentence = format!(
                "the control group of this process may have {} of huge pages ({})",
                Bytes(limit),
                file.display()
            );
            if limit >= NEEDED {
                return Finding::note("cgroup", sentence);
            }
            let none = if file.extension().is_some_and(|extension| extension == "max") {
                "max"
            } else {
                "-1"
            };
            Finding::problem("cgroup", sentence).run(format!("echo {none} > {}", file.display()))
        });
    limits.max_by_key(|finding| finding.level == Level::Problem)
}

/// The lowest limit for pages of a size from this process's group up to the root, and the file that sets it.
fn lowest_limit(host: &Host, size: PageSize) -> Option<(u64, PathBuf)> {
    let mounts = mounts::all(host).ok()?;
    let groups = fs::read_to_string(host.proc.join("self/cgroup")).ok()?;
    let names = [
        format!("hugetlb.{size}B.max"),
        format!("hugetlb.{size}B.limit_in_bytes"),
    ];
    let roots = mounts.iter().filter(|mount| mount.kind.starts_with("cgroup"));
    let mut limits = Vec::new();
    for root in roots {
        for group in groups
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2)?.strip_prefix('/'))
        {
            for directory in Path::new(group).ancestors() {
                for file in names.iter().map(|name| root.path.join(directory).join(name)) {
                    let text = fs::read_to_string(&file).unwrap_or_default();
                    limits.extend(text.trim().parse::<u64>().ok().map(|limit| (limit, file)));
                }
            }
        }
    }
    limits
        .into_iter()
        .filter(|(limit, _)| *limit < NO_LIMIT)
        .min_by_key(|(limit, _)| *limit)
}

/// RLIMIT_MEMLOCK, which stops those without CAP_IPC_LOCK: not a primary, which is root's.
fn memlock(host: &Host) -> Option<Finding> {
    let limits = fs::read_to_string(host.proc.join("self/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    let soft = line.split_ascii_whitespace().next()?;
    let Ok(bytes) = soft.parse() else {
        return Some(Finding::ok("memlock", "locked memory is not limited"));
    };
    let sentence = format!(
        "locked memory is limited to {}, which does not bind a primary with CAP_IPC_LOCK, as root has it",
        Bytes(bytes)
    );
    Some(if bytes >= NEEDED {
        Finding::ok("memlock", sentence)
    } else {
        Finding::note("memlock", sentence)
    })
}

#[cfg(test)]
mod tests;
