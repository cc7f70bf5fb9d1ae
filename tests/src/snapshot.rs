//! The state of the host that a run may change, and what differs after it: the proof that nothing was left behind.

use std::{collections::BTreeSet, fs, path::Path};

use crate::RunId;

/// What stands for hugepages, links, namespaces, mounts and run-time files, one line each.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostState(BTreeSet<String>);

impl HostState {
    /// The folder of all DPDK programs, which the last of them removes, whoever runs it.
    const SHARED: &str = "/run/dpdk";

    /// Reads the state as it is now.
    pub fn take() -> Self {
        let mut lines = BTreeSet::new();
        hugepages(&mut lines);
        for link in names(Path::new("/sys/class/net")) {
            lines.insert(format!("link {link}"));
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in mounts.lines() {
            lines.insert(format!("mount {mount}"));
        }
        // What other services keep in /run moves all the time; what is ours is listed to the bottom.
        listing(&mut lines, Path::new("/run"), 1);
        for folder in [
            "/run/netns",
            "/run/tollgate",
            "/run/dpdk",
            "/var/run/dpdk",
            "/dev/shm",
        ] {
            listing(&mut lines, Path::new(folder), 4);
        }
        for folder in std::iter::once("/dev/hugepages").chain(hugetlbfs_mounts(&mounts)) {
            lines.extend(Path::new(folder).exists().then(|| folder.to_owned()));
            listing(&mut lines, Path::new(folder), 2);
        }
        lines.remove(Self::SHARED);
        Self(lines)
    }

    /// What differs in `after`, one line each. What belongs to another run that is still alive does not count; nor does what
    /// a dead one had left and is gone now, as whoever cleans up after dead instances may take it.
    pub fn differences(&self, after: &Self, run: &RunId) -> Vec<String> {
        let gone = self
            .0
            .difference(&after.0)
            .filter(|line| !run.is_of_another_run(line));
        let left = after
            .0
            .difference(&self.0)
            .filter(|line| !run.is_of_another_live_run(line));
        gone.map(|line| format!("gone: {line}"))
            .chain(left.map(|line| format!("left: {line}")))
            .collect()
    }
}

/// The mount points of hugetlbfs in the text of /proc/mounts.
pub(crate) fn hugetlbfs_mounts(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next() == Some("hugetlbfs")).then_some(point)
    })
}

fn hugepages(lines: &mut BTreeSet<String>) {
    let nodes = Path::new("/sys/devices/system/node");
    for node in names(nodes).into_iter().filter(|name| name.starts_with("node")) {
        let sizes = nodes.join(&node).join("hugepages");
        for size in names(&sizes) {
            let count = fs::read_to_string(sizes.join(&size).join("nr_hugepages")).unwrap_or_default();
            lines.insert(format!("{size} of {node}: {}", count.trim()));
        }
    }
}

/// Adds the paths below `folder`, down to `depth` levels. sudo keeps its own time stamps in /run/sudo.
fn listing(lines: &mut BTreeSet<String>, folder: &Path, depth: u32) {
    for name in names(folder) {
        let path = folder.join(name);
        if path == Path::new("/run/sudo") {
            continue;
        }
        lines.insert(path.display().to_string());
        if depth > 1 && path.is_dir() && !path.is_symlink() {
            listing(lines, &path, depth - 1);
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lines: &[&str]) -> HostState {
        HostState(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn what_was_left_and_what_is_gone_are_both_named() {
        let before = state(&["hugepages-2048kB of node0: 0", "link eth0"]);
        let after = state(&["hugepages-2048kB of node0: 256", "link eth0"]);
        assert_eq!(
            before.differences(&after, &RunId::of_this_process()),
            [
                "gone: hugepages-2048kB of node0: 0",
                "left: hugepages-2048kB of node0: 256"
            ]
        );
        assert!(before.differences(&before, &RunId::of_this_process()).is_empty());
    }

    #[test]
    fn another_live_run_is_not_held_against_this_one() {
        let before = state(&[]);
        let after = state(&["/run/netns/tg1-1-0-host-a"]);
        assert!(
            before.differences(&after, &RunId::of_this_process()).is_empty(),
            "pid 1 is alive"
        );
    }

    #[test]
    fn what_a_dead_run_had_left_may_go_and_may_not_come() {
        let (none, some) = (state(&[]), state(&["/dev/shm/tollgate-tgzzzzzy-1-0-east-1"]));
        let run = RunId::of_this_process();
        assert!(some.differences(&none, &run).is_empty());
        assert_eq!(
            none.differences(&some, &run),
            ["left: /dev/shm/tollgate-tgzzzzzy-1-0-east-1"]
        );
    }

    #[test]
    fn hugetlbfs_is_told_from_other_mounts() {
        let mounts = "proc /proc proc rw 0 0\nnone /mnt/huge hugetlbfs rw,pagesize=2M 0 0\nhugetlbfs /x tmpfs rw 0 0\n";
        assert_eq!(hugetlbfs_mounts(mounts).collect::<Vec<_>>(), ["/mnt/huge"]);
    }

    #[test]
    fn a_snapshot_knows_this_host() {
        let state = HostState::take();
        assert!(state.0.contains("link lo"));
        assert!(
            state
                .0
                .iter()
                .any(|line| line.starts_with("mount ") && line.contains(" /proc "))
        );
    }
}
