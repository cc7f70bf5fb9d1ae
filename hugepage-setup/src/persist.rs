//! Reservations that survive a reboot, in two files that Debian reads at boot:
//!
//! ```text
//!   /etc/sysctl.d/80-tollgate-hugepages.conf     vm.nr_hugepages = N        default size, all nodes; sysctl(8)
//!   /etc/tmpfiles.d/80-tollgate-hugepages.conf   w /sys/…/nr_hugepages - - - - N   other sizes, one node; tmpfiles.d(5)
//! ```
//!
//! vm.nr_hugepages knows neither other sizes nor nodes, hence the second file. Either is there only while it says
//! something.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::host::Host;
use crate::size::PageSize;

const NAME: &str = "80-tollgate-hugepages.conf";
const HEADER: &str = "# Written by tollgate-hugepage-setup; 'release' removes it.\n";

/// One reservation that is made again at every boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Size of the pages.
    pub(crate) size: PageSize,
    /// Their node; `None` for all together.
    pub(crate) node: Option<u32>,
    /// How many.
    pub(crate) pages: u64,
}

/// All settings of this tool.
#[derive(Debug)]
pub(crate) struct Settings {
    sysctl: PathBuf,
    tmpfiles: PathBuf,
    default_size: PageSize,
    list: Vec<Setting>,
}

impl Settings {
    /// What the files say now.
    pub(crate) fn load(host: &Host) -> Result<Self, Error> {
        let mut settings = Self {
            sysctl: host.etc.join("sysctl.d").join(NAME),
            tmpfiles: host.etc.join("tmpfiles.d").join(NAME),
            default_size: host.default_page_size()?,
            list: Vec::new(),
        };
        let default = |pages| Setting {
            size: settings.default_size,
            node: None,
            pages,
        };
        settings.list.extend(
            read_if_there(&settings.sysctl)?
                .lines()
                .filter_map(parse_sysctl)
                .map(default),
        );
        settings.list.extend(
            read_if_there(&settings.tmpfiles)?
                .lines()
                .filter_map(parse_tmpfiles),
        );
        Ok(settings)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Setting] {
        &self.list
    }

    /// The number for a size and node, if there is one.
    pub(crate) fn pages(&self, size: PageSize, node: Option<u32>) -> Option<u64> {
        self.list
            .iter()
            .find(|setting| (setting.size, setting.node) == (size, node))
            .map(|setting| setting.pages)
    }

    /// The file that a setting is kept in.
    pub(crate) fn file_of(&self, size: PageSize, node: Option<u32>) -> &Path {
        if node.is_none() && size == self.default_size {
            &self.sysctl
        } else {
            &self.tmpfiles
        }
    }

    /// Sets one. A number for the host and numbers for single nodes would be at odds, so the one for the host takes the
    /// place of those for nodes; a number for a node turns the one for the host into `nodes_now`, one per node.
    pub(crate) fn set(&mut self, setting: Setting, nodes_now: &[(u32, u64)]) {
        match setting.node {
            None => self.list.retain(|other| other.size != setting.size),
            Some(_) => {
                if self.remove(setting.size, None) {
                    let of_node = |&(node, pages)| Setting {
                        node: Some(node),
                        pages,
                        ..setting
                    };
                    self.list.extend(nodes_now.iter().map(of_node));
                }
                self.remove(setting.size, setting.node);
            }
        }
        self.list.push(setting);
    }

    /// Removes one and says whether it was there.
    pub(crate) fn remove(&mut self, size: PageSize, node: Option<u32>) -> bool {
        let before = self.list.len();
        self.list
            .retain(|setting| (setting.size, setting.node) != (size, node));
        self.list.len() < before
    }

    /// Removes the setting for the host and those for its nodes, and says whether there were any.
    pub(crate) fn remove_size(&mut self, size: PageSize) -> bool {
        let before = self.list.len();
        self.list.retain(|setting| setting.size != size);
        self.list.len() < before
    }

    /// Writes the files; one that would be empty is removed.
    pub(crate) fn store(&self) -> Result<(), Error> {
        let mut sorted = self.list.clone();
        sorted.sort_by_key(|setting| (setting.size, setting.node));
        let (sysctl, tmpfiles): (Vec<_>, Vec<_>) = sorted
            .into_iter()
            .partition(|setting| self.file_of(setting.size, setting.node) == self.sysctl);
        store(&self.sysctl, &sysctl.iter().map(sysctl_line).collect::<String>())?;
        store(
            &self.tmpfiles,
            &tmpfiles.iter().map(tmpfiles_line).collect::<String>(),
        )
    }
}

fn sysctl_line(setting: &Setting) -> String {
    format!("vm.nr_hugepages = {}\n", setting.pages)
}

fn parse_sysctl(line: &str) -> Option<u64> {
    let (name, value) = line.split_once('=')?;
    (name.trim() == "vm.nr_hugepages").then(|| value.trim().parse().ok())?
}

fn tmpfiles_line(setting: &Setting) -> String {
    let pools = match setting.node {
        None => "kernel/mm".to_owned(),
        Some(node) => format!("devices/system/node/node{node}"),
    };
    format!(
        "w /sys/{pools}/hugepages/{}/nr_hugepages - - - - {}\n",
        setting.size.sysfs_name(),
        setting.pages
    )
}

fn parse_tmpfiles(line: &str) -> Option<Setting> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let ["w", path, _, _, _, _, pages] = fields[..] else {
        return None;
    };
    let (pools, pool) = path
        .strip_prefix("/sys/")?
        .strip_suffix("/nr_hugepages")?
        .split_once("/hugepages/")?;
    let node = match pools {
        "kernel/mm" => None,
        _ => Some(pools.strip_prefix("devices/system/node/node")?.parse().ok()?),
    };
    Some(Setting {
        size: PageSize::from_sysfs_name(pool)?,
        node,
        pages: pages.parse().ok()?,
    })
}

fn read_if_there(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(Error::io("read", path)),
    }
}

fn store(path: &Path, lines: &str) -> Result<(), Error> {
    if lines.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        };
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
    }
    // A host that loses power now shall boot with the old file or the new one.
    let next = path.with_extension("conf.new");
    fs::write(&next, format!("{HEADER}{lines}")).map_err(Error::io("write", &next))?;
    fs::rename(&next, path).map_err(Error::io("put in place", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host() -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        fs::create_dir_all(&host.proc).unwrap();
        fs::write(host.proc.join("meminfo"), "Hugepagesize:       2048 kB\n").unwrap();
        (root, host)
    }

    fn setting(size: &str, node: Option<u32>, pages: u64) -> Setting {
        Setting {
            size: size.parse().unwrap(),
            node,
            pages,
        }
    }

    fn files(host: &Host) -> Vec<PathBuf> {
        ["sysctl.d", "tmpfiles.d"]
            .iter()
            .flat_map(|directory| crate::host::entries(&host.etc.join(directory)).unwrap())
            .collect()
    }

    #[test]
    fn the_default_size_is_a_sysctl() {
        let (_root, host) = host();
        let mut settings = Settings::load(&host).unwrap();
        settings.set(setting("2M", None, 512), &[]);
        settings.store().unwrap();
        let text = fs::read_to_string(host.etc.join("sysctl.d").join(NAME)).unwrap();
        assert!(text.lines().any(|line| line == "vm.nr_hugepages = 512"), "{text}");
        assert_eq!(files(&host).len(), 1);
        assert_eq!(
            Settings::load(&host).unwrap().pages("2M".parse().unwrap(), None),
            Some(512)
        );
    }

    #[test]
    fn other_sizes_and_nodes_are_lines_of_tmpfiles() {
        let (_root, host) = host();
        let mut settings = Settings::load(&host).unwrap();
        settings.set(setting("1G", None, 4), &[]);
        settings.set(setting("2M", Some(1), 256), &[]);
        settings.store().unwrap();
        let text = fs::read_to_string(host.etc.join("tmpfiles.d").join(NAME)).unwrap();
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "w /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 256",
                "w /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages - - - - 4"
            ]
        );
        assert_eq!(files(&host).len(), 1);
    }

    #[test]
    fn a_number_for_the_host_and_numbers_for_nodes_are_never_at_odds() {
        let (_root, host) = host();
        let mut settings = Settings::load(&host).unwrap();
        settings.set(setting("2M", None, 512), &[]);
        settings.set(setting("2M", Some(1), 300), &[(0, 256), (1, 256)]);
        assert_eq!(
            settings.all(),
            [setting("2M", Some(0), 256), setting("2M", Some(1), 300)]
        );
        settings.set(setting("1G", None, 1), &[]);
        settings.set(setting("2M", None, 64), &[]);
        assert_eq!(settings.all(), [setting("1G", None, 1), setting("2M", None, 64)]);
    }

    #[test]
    fn a_file_that_says_nothing_any_more_is_removed() {
        let (_root, host) = host();
        let mut settings = Settings::load(&host).unwrap();
        settings.set(setting("2M", None, 512), &[]);
        settings.set(setting("1G", Some(0), 2), &[]);
        settings.store().unwrap();
        assert_eq!(files(&host).len(), 2);
        assert!(settings.remove_size("2M".parse().unwrap()));
        settings.store().unwrap();
        assert_eq!(files(&host), [host.etc.join("tmpfiles.d").join(NAME)]);
        assert!(settings.remove("1G".parse().unwrap(), Some(0)));
        assert!(!settings.remove("1G".parse().unwrap(), Some(0)));
        settings.store().unwrap();
        assert!(files(&host).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bits in 16u32..40, node in proptest::option::of(0u32..1024), pages: u64) {
            let setting = Setting { size: PageSize::from_bytes(1 << bits).unwrap(), node, pages };
            prop_assert_eq!(parse_tmpfiles(tmpfiles_line(&setting).trim_end()), Some(setting));
            prop_assert_eq!(parse_sysctl(sysctl_line(&setting).trim_end()), Some(pages));
        }

        #[test]
        fn no_line_makes_the_parsers_fall(line in ".*") {
            let _ = parse_sysctl(&line);
            let _ = parse_tmpfiles(&line);
        }
    }
}
