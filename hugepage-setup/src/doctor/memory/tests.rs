//! Huge pages that are too few, in use, elsewhere, or out of reach.

use super::*;
use crate::pool::make_pool;

struct Place {
    root: tempfile::TempDir,
    host: Host,
}

/// A host whose default size is 2M, with `(size, total, free)` of pages and these lines of mounts.
fn place(pages: &[(&str, u64, u64)], mounts: &[(&str, &str)]) -> Place {
    let root = tempfile::tempdir().unwrap();
    let host = Host::below(root.path());
    fs::create_dir_all(host.proc.join("self")).unwrap();
    fs::write(host.proc.join("meminfo"), "Hugepagesize: 2048 kB\n").unwrap();
    for (size, total, free) in pages {
        let counts = Counts {
            total: *total,
            free: *free,
            reserved: Some(0),
            surplus: 0,
        };
        make_pool(&host, size.parse().unwrap(), None, counts);
    }
    let line = |(directory, options): &(&str, &str)| {
        let path = root.path().join(directory);
        fs::create_dir_all(&path).unwrap();
        let kind = if options.contains("pagesize") {
            "hugetlbfs"
        } else {
            "cgroup2"
        };
        format!("none {} {kind} {options} 0 0\n", path.display())
    };
    let table: String = mounts.iter().map(line).collect();
    fs::write(host.proc.join("mounts"), table).unwrap();
    Place { root, host }
}

const MOUNTED: (&str, &str) = ("huge", "rw,pagesize=2M");

fn problems(place: &Place, started: bool) -> Vec<Finding> {
    let mut findings = findings(&place.host, started, None);
    findings.retain(|finding| finding.level == Level::Problem);
    findings
}

#[test]
fn enough_pages_that_are_mounted_are_no_problem() {
    assert_eq!(problems(&place(&[("2M", 192, 192)], &[MOUNTED]), true), []);
    let of_1g = place(&[("2M", 0, 0), ("1G", 1, 1)], &[("huge1G", "rw,pagesize=1024M")]);
    assert_eq!(problems(&of_1g, true), []);
}

#[test]
fn what_is_missing_is_added_to_what_is_there() {
    let few = place(&[("2M", 100, 40)], &[MOUNTED]);
    let found = problems(&few, false);
    assert_eq!(
        found[0].commands,
        ["tollgate-hugepage-setup reserve --size 2M --pages 252 --persist"]
    );
    assert!(
        found[0].finding.contains("80 MiB") && found[0].finding.contains("384 MiB"),
        "{found:?}"
    );
}

#[test]
fn pages_in_use_are_missing_only_for_one_more_instance() {
    let used = place(&[("2M", 512, 10)], &[MOUNTED]);
    assert_eq!(problems(&used, false), []);
    assert_eq!(problems(&used, true).len(), 1);
}

#[test]
fn pages_that_are_mounted_nowhere_or_in_another_size_are_out_of_reach() {
    let nowhere = place(&[("2M", 512, 512)], &[]);
    assert_eq!(
        problems(&nowhere, false)[0].commands,
        ["tollgate-hugepage-setup mount"]
    );
    let only_1g = place(&[("2M", 0, 0), ("1G", 2, 2)], &[]);
    assert_eq!(
        problems(&only_1g, false)[0].commands,
        ["tollgate-hugepage-setup mount --size 1G"]
    );
    let other = place(&[("2M", 0, 0), ("1G", 2, 2)], &[MOUNTED]);
    let found = problems(&other, false);
    assert_eq!(found[0].commands, ["tollgate-hugepage-setup mount --size 1G"]);
    assert!(found[0].finding.contains("those of 2M at "), "{found:?}");
}

#[test]
fn a_mount_that_is_full_by_its_own_limit_is_a_problem() {
    let limited = place(&[("2M", 512, 512)], &[("huge", "rw,pagesize=2M,size=4194304")]);
    assert_eq!(problems(&limited, false), []);
    fs::write(limited.root.path().join("huge/rtemap_0"), vec![1; 3 << 20]).unwrap();
    let found = problems(&limited, false);
    assert_eq!(found[0].check, "mounts");
    assert!(found[0].finding.contains("leaves no page"), "{found:?}");
}

#[test]
fn a_kernel_without_huge_pages_is_a_problem() {
    let none = place(&[], &[]);
    assert!(problems(&none, false)[0].finding.contains("no huge pages"));
}

fn limited(limit: &str) -> Place {
    let place = place(&[("2M", 512, 512)], &[MOUNTED, ("cgroup", "rw")]);
    fs::write(
        place.host.proc.join("self/cgroup"),
        "0::/system.slice/ssh.service\n",
    )
    .unwrap();
    let slice = place.root.path().join("cgroup/system.slice");
    fs::create_dir_all(slice.join("ssh.service")).unwrap();
    fs::write(slice.join("ssh.service/hugetlb.2MB.max"), "max\n").unwrap();
    fs::write(slice.join("hugetlb.2MB.max"), limit).unwrap();
    place
}

#[test]
fn the_limit_of_a_group_above_holds_as_well() {
    let found = problems(&limited("67108864\n"), false);
    assert_eq!(found.len(), 1);
    assert!(found[0].finding.contains("64 MiB"), "{found:?}");
    assert!(
        found[0].commands[0].starts_with("echo max > ")
            && found[0].commands[0].ends_with("/system.slice/hugetlb.2MB.max"),
        "{found:?}"
    );
    assert_eq!(problems(&limited("max\n"), false), []);
    assert_eq!(problems(&limited("1073741824\n"), false), []);
}

#[test]
fn a_group_of_the_first_version_without_a_limit_has_a_large_number() {
    let place = limited("max\n");
    let file = place
        .root
        .path()
        .join("cgroup/system.slice/hugetlb.2MB.limit_in_bytes");
    fs::write(&file, "9223372036852678656\n").unwrap();
    assert_eq!(problems(&place, false), []);
    fs::write(&file, "0\n").unwrap();
    assert!(problems(&place, false)[0].commands[0].starts_with("echo -1 > "));
}

#[test]
fn locked_memory_is_told_and_never_a_problem() {
    let place = place(&[("2M", 512, 512)], &[MOUNTED]);
    let tell = |soft: &str| {
        let text = format!(
            "Limit  Soft Limit  Hard Limit  Units\nMax locked memory         {soft}  unlimited  bytes\n"
        );
        fs::write(place.host.proc.join("self/limits"), text).unwrap();
        memlock(&place.host).unwrap()
    };
    assert_eq!(tell("8388608").level, Level::Note);
    assert!(tell("8388608").finding.contains("8 MiB"));
    assert_eq!(tell("unlimited").level, Level::Ok);
}

#[test]
fn on_a_host_with_several_nodes_that_of_the_nic_counts() {
    let place = place(&[("2M", 512, 512)], &[MOUNTED]);
    let size: PageSize = "2M".parse().unwrap();
    for (node, total) in [(0, 512), (1, 0)] {
        let counts = Counts {
            total,
            free: total,
            ..Counts::default()
        };
        make_pool(&place.host, size, Some(node), counts);
    }
    let commands = |node| -> Vec<String> {
        let found = findings(&place.host, true, node);
        found.into_iter().flat_map(|finding| finding.commands).collect()
    };
    assert_eq!(commands(None), [] as [&str; 0]);
    assert_eq!(commands(Some(0)), [] as [&str; 0]);
    assert_eq!(
        commands(Some(1)),
        ["tollgate-hugepage-setup reserve --size 2M --pages 192 --node 1 --persist"]
    );
}
