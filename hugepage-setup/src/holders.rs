//! Who holds a file: has it open or mapped, whatever path or mount namespace it came by. Files are told apart by device
//! and inode, as `/proc/PID/maps` and stat(2) give them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use crate::error::{Error, list};
use crate::host::Host;
use crate::users::{name_of, processes};

/// The files of some devices that processes hold.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    by_file: HashMap<(u64, u64), BTreeSet<u32>>,
}

impl Holders {
    /// Looks through all processes for files on these devices. Only root sees those of others.
    pub(crate) fn scan(host: &Host, devices: &HashSet<u64>) -> Result<Self, Error> {
        let mut holders = Self::default();
        for (pid, directory) in processes(host)? {
            // A process that ends meanwhile holds nothing.
            let open = fs::read_dir(directory.join("fd")).into_iter().flatten().flatten();
            let opened = open
                .filter_map(|entry| fs::metadata(entry.path()).ok())
                .map(|file| (file.dev(), file.ino()));
            let maps = fs::read_to_string(directory.join("maps")).unwrap_or_default();
            for file in opened.chain(maps.lines().filter_map(parse_maps)) {
                if devices.contains(&file.0) {
                    holders.by_file.entry(file).or_default().insert(pid);
                }
            }
        }
        Ok(holders)
    }

    /// The processes that hold this file.
    pub(crate) fn of(&self, file: &Metadata) -> Vec<u32> {
        self.by_file
            .get(&(file.dev(), file.ino()))
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// The processes that hold anything on a device.
    pub(crate) fn of_device(&self, device: u64) -> BTreeSet<u32> {
        self.by_file
            .iter()
            .filter(|((on, _), _)| *on == device)
            .flat_map(|(_, pids)| pids)
            .copied()
            .collect()
    }
}

/// "tollgate-primary (pid 12), bash (pid 13)".
pub(crate) fn titles<'a>(host: &Host, pids: impl IntoIterator<Item = &'a u32>) -> String {
    let titles: Vec<_> = pids
        .into_iter()
        .map(|pid| format!("{} (pid {pid})", name_of(host, *pid)))
        .collect();
    list(&titles)
}

/// Device and inode in a line of maps, proc(5); `None` for memory without a file.
fn parse_maps(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (major, minor) = fields.next()?.split_once(':')?;
    let device = nix::sys::stat::makedev(
        u64::from_str_radix(major, 16).ok()?,
        u64::from_str_radix(minor, 16).ok()?,
    );
    let inode = fields.next()?.parse().ok()?;
    (inode != 0).then_some((device, inode))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::users::make_process;
    use proptest::prelude::*;

    #[test]
    fn an_open_file_is_held_by_this_process_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        let meta = file.metadata().unwrap();
        let devices = HashSet::from([meta.dev()]);
        let holds = || {
            let holders = Holders::scan(&Host::this(), &devices).unwrap();
            holders.of(&meta).contains(&std::process::id())
        };
        assert!(holds());
        drop(file);
        assert!(!holds());
    }

    #[test]
    fn a_mapped_file_is_held_without_a_descriptor() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let meta = fs::metadata(&file).unwrap();
        let (major, minor) = (
            nix::sys::stat::major(meta.dev()),
            nix::sys::stat::minor(meta.dev()),
        );
        let line = format!(
            "7f00-7f20 rw-s 00000000 {major:02x}:{minor:02x} {}   /elsewhere/file\n",
            meta.ino()
        );
        fs::write(make_process(&host, 12, "qemu", "").join("maps"), line).unwrap();
        make_process(&host, 13, "bash", "");
        let holders = Holders::scan(&host, &HashSet::from([meta.dev()])).unwrap();
        assert_eq!(holders.of(&meta), [12]);
        assert_eq!(titles(&host, &holders.of_device(meta.dev())), "qemu (pid 12)");
    }

    #[test]
    fn a_line_of_maps_names_device_and_inode() {
        let line = "7f0000000000-7f0000200000 rw-s 00000000 01:2f 51234    /dev/hugepages/tg-bluemap_0";
        assert_eq!(parse_maps(line), Some((nix::sys::stat::makedev(1, 0x2f), 51234)));
        assert_eq!(
            parse_maps("7f0000000000-7f0000200000 rw-p 00000000 00:00 0 "),
            None
        );
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_fall(line in "[0-9a-f: -]{0,60}") {
            let _ = parse_maps(&line);
        }
    }
}
