//! Hugepages: where they are mounted, how many are free, and whether that is enough.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ATTACHMENT_PAGE, Plan, PlanError};

/// A hugetlbfs mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: PathBuf,
    /// Bytes of its pages.
    pub(super) page_size: usize,
}

/// What the kernel has of pages of one size, on one node or, where it knows of no nodes, on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FreePages {
    pub(super) node: Option<u8>,
    pub(super) page_size: usize,
    pub(super) free: usize,
    pub(super) total: usize,
}

/// The hugetlbfs mounts of this process.
pub(super) fn mounts() -> Vec<Mount> {
    let default = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| default_page_size(&text));
    parse_mounts(&fs::read_to_string("/proc/mounts").unwrap_or_default(), default)
}

fn default_page_size(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:"))?;
    line.trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<usize>()
        .ok()?
        .checked_mul(1024)
}

/// Parses `/proc/mounts`, proc(5). The kernel names a page size that is not the default; older ones only then.
fn parse_mounts(text: &str, default: Option<usize>) -> Vec<Mount> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        if kind != "hugetlbfs" {
            return None;
        }
        let size = options
            .split(',')
            .find_map(|option| option.strip_prefix("pagesize="));
        let page_size = size.map_or(default, parse_size)?;
        Some(Mount {
            path: PathBuf::from(unescape(path)),
            page_size,
        })
    };
    text.lines().filter_map(mount).collect()
}

/// A size as mount options have it: `2M`, `1024M`, `1G`.
fn parse_size(text: &str) -> Option<usize> {
    let units = [('K', 10), ('M', 20), ('G', 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)))
        .unwrap_or((text, 0));
    digits
        .parse::<usize>()
        .ok()?
        .checked_mul(1 << shift)
        .filter(|size| size.is_power_of_two())
}

/// Spaces and the like are written in octal there: `\040`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
        {
            Some(byte) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            _ => plain.extend(["\\", part]),
        }
    }
    plain
}

/// The mount to use: the one that holds the configured directory, else one of 2 MiB pages before larger ones, which a
/// table region would leave half empty, and the usual place before others.
pub(super) fn choose(mounts: &[Mount], configured: Option<&Path>) -> Option<Mount> {
    match configured {
        Some(directory) => {
            let holding = mounts.iter().filter(|mount| directory.starts_with(&mount.path));
            let nearest = holding.max_by_key(|mount| mount.path.components().count())?;
            Some(Mount {
                path: directory.to_path_buf(),
                page_size: nearest.page_size,
            })
        }
        None => {
            let rank = |mount: &&Mount| (mount.page_size, mount.path != Path::new("/dev/hugepages"));
            mounts.iter().min_by_key(rank).cloned()
        }
    }
}

/// A page size as the suite's commands have it: `2M`, `1G`.
pub(super) fn size_name(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 30) {
        format!("{}G", bytes >> 30)
    } else {
        format!("{}M", bytes >> 20)
    }
}

/// The hugepages of the kernel: of every node and size, or of every size where there are no nodes.
pub(super) fn free_pages() -> Vec<FreePages> {
    let mut pages = Vec::new();
    for entry in fs::read_dir("/sys/devices/system/node")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        if let Some(node) = name
            .to_str()
            .and_then(|name| name.strip_prefix("node")?.parse().ok())
        {
            pages.extend(free_pages_in(&entry.path().join("hugepages"), Some(node)));
        }
    }
    if pages.is_empty() {
        pages = free_pages_in(Path::new("/sys/kernel/mm/hugepages"), None);
    }
    pages
}

fn free_pages_in(directory: &Path, node: Option<u8>) -> Vec<FreePages> {
    let read = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let pages = |directory: &Path| {
        let size: usize = directory
            .file_name()?
            .to_str()?
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse()
            .ok()?;
        // Nodes do not say what is reserved by mappings that have not touched it yet.
        let reserved = read(directory.join("resv_hugepages")).unwrap_or(0);
        let free = read(directory.join("free_hugepages"))?.saturating_sub(reserved);
        Some(FreePages {
            node,
            page_size: size << 10,
            free,
            total: read(directory.join("nr_hugepages"))?,
        })
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| pages(&entry.path())).collect()
}

/// Whether the hugepages that the plan needs are mounted and free.
pub fn check_hugepages(plan: &Plan) -> Result<(), PlanError> {
    if plan.huge_dir.is_none() {
        return Err(match &plan.configured_huge_dir {
            Some(path) => PlanError::NotHugetlbfs { path: path.clone() },
            None => PlanError::NotMounted,
        });
    }
    check(plan, &free_pages())
}

pub(super) fn check(plan: &Plan, pages: &[FreePages]) -> Result<(), PlanError> {
    let of_size = |size: usize| pages.iter().filter(move |pages| pages.page_size == size);
    let size = plan.huge_page_size;
    let free: usize = of_size(size).map(|pages| pages.free).sum();
    let total: usize = of_size(size).map(|pages| pages.total).sum();
    let region = plan.region_pages();
    let eal: usize = plan
        .memory_nodes
        .iter()
        .map(|node| {
            let on_node = |pages: &&FreePages| pages.node.is_none_or(|there| there == *node);
            // Without files EAL takes pages of any size, the largest first that it can fill.
            let larger: usize = if plan.stock_tools {
                0
            } else {
                let memory = plan.eal_bytes();
                let larger = pages
                    .iter()
                    .filter(|pages| pages.page_size > size)
                    .filter(on_node);
                larger
                    .map(|pages| pages.free.min(memory / pages.page_size) * pages.page_size)
                    .sum()
            };
            plan.eal_bytes().saturating_sub(larger).div_ceil(size)
        })
        .sum();
    // Where everything is in pages of another size, attachments are looked at by themselves.
    let (attachments, apart) = match plan.attachment_pages() {
        pages if size == ATTACHMENT_PAGE => (pages, 0),
        pages => (0, pages),
    };
    let shortage = |needed: usize, free: usize, total: usize, node: Option<u8>| PlanError::TooFewPages {
        needed,
        eal,
        region,
        attachments,
        free,
        size: size_name(size),
        reserve: total + (needed - free),
        node,
    };
    let needed = eal + region + attachments;
    if needed > free {
        return Err(shortage(needed, free, total, None));
    }
    let free: usize = of_size(ATTACHMENT_PAGE).map(|pages| pages.free).sum();
    if apart > free {
        let total: usize = of_size(ATTACHMENT_PAGE).map(|pages| pages.total).sum();
        return Err(PlanError::TooFewPages {
            needed: apart,
            eal: 0,
            region: 0,
            attachments: apart,
            free,
            size: size_name(ATTACHMENT_PAGE),
            reserve: total + (apart - free),
            node: None,
        });
    }
    if plan.memory_nodes.len() > 1 || plan.several_nodes {
        for node in &plan.memory_nodes {
            let here = of_size(size).find(|pages| pages.node == Some(*node));
            let needed = eal / plan.memory_nodes.len();
            if let Some(here) = here.filter(|here| here.free < needed) {
                return Err(shortage(needed, here.free, here.total, Some(*node)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &str = "\
sysfs /sys sysfs rw,nosuid 0 0
hugetlbfs /mnt/huge\\0401G hugetlbfs rw,relatime,pagesize=1024M 0 0
none /srv/huge hugetlbfs rw,relatime,pagesize=2M 0 0
hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0
";

    fn mount(path: &str, page_size: usize) -> Mount {
        Mount {
            path: path.into(),
            page_size,
        }
    }

    #[test]
    fn mounts_are_read_as_the_kernel_writes_them() {
        let wanted = [
            mount("/mnt/huge 1G", 1 << 30),
            mount("/srv/huge", 2 << 20),
            mount("/dev/hugepages", 2 << 20),
        ];
        assert_eq!(parse_mounts(MOUNTS, None), wanted);
        let old = "none /dev/hugepages hugetlbfs rw,relatime 0 0\n";
        assert_eq!(
            parse_mounts(old, Some(2 << 20)),
            [mount("/dev/hugepages", 2 << 20)]
        );
        assert_eq!(
            default_page_size("HugePages_Free: 0\nHugepagesize:       2048 kB\n"),
            Some(2 << 20)
        );
    }

    #[test]
    fn small_pages_and_the_usual_place_come_first() {
        let mounts = parse_mounts(MOUNTS, None);
        assert_eq!(choose(&mounts, None), Some(mount("/dev/hugepages", 2 << 20)));
        assert_eq!(choose(&mounts[..1], None), Some(mount("/mnt/huge 1G", 1 << 30)));
        assert_eq!(choose(&[], None), None);
    }

    #[test]
    fn a_configured_directory_has_the_pages_of_the_mount_that_holds_it() {
        let mounts = parse_mounts(MOUNTS, None);
        assert_eq!(
            choose(&mounts, Some(Path::new("/srv/huge/blue"))),
            Some(mount("/srv/huge/blue", 2 << 20))
        );
        assert_eq!(choose(&mounts, Some(Path::new("/tmp"))), None);
    }

    proptest! {
        #[test]
        fn any_text_in_place_of_mounts_is_survived(text in "[ -~\n]{0,200}") {
            let _ = parse_mounts(&text, Some(2 << 20));
        }
    }
}
