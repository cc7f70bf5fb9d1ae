//! Who has huge pages mapped: every process of the host, with the instance that it is the primary of.

use std::fs;
use std::io;

use control::instance::{InstanceName, RunDir};

use crate::error::Error;
use crate::host::{Host, entries, kib_field};
use crate::numa_maps::{self, Mapped};
use crate::size::PageSize;

/// A process with huge pages.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Its id.
    pub(crate) pid: u32,
    /// The name of its program, as the kernel keeps it.
    pub(crate) name: String,
    /// The instance that it is the primary of.
    pub(crate) instance: Option<InstanceName>,
    /// The pages that it has mapped. Pages of a file count for every process that maps them.
    pub(crate) mapped: Mapped,
}

impl User {
    /// Its pages of one size, on one node or all.
    pub(crate) fn pages(&self, size: PageSize, node: Option<u32>) -> u64 {
        let wanted = |of: &(PageSize, u32)| of.0 == size && node.is_none_or(|node| node == of.1);
        self.mapped
            .iter()
            .filter(|(of, _)| wanted(of))
            .map(|(_, pages)| pages)
            .sum()
    }

    /// "instance blue (pid 12)" or "qemu (pid 13)".
    pub(crate) fn title(&self) -> String {
        match &self.instance {
            Some(instance) => format!("instance {instance} (pid {})", self.pid),
            None => format!("{} (pid {})", self.name, self.pid),
        }
    }
}

/// All processes with huge pages.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// Those that could be looked into.
    pub(crate) list: Vec<User>,
    /// How many could not.
    pub(crate) hidden: usize,
}

impl Users {
    /// Looks through all processes.
    pub(crate) fn scan(host: &Host, run_dir: &RunDir) -> Result<Self, Error> {
        let primaries = primaries(run_dir);
        let mut users = Self::default();
        for (pid, directory) in processes(host)? {
            let Ok(status) = fs::read_to_string(directory.join("status")) else {
                continue;
            };
            if kib_field(&status, "HugetlbPages").unwrap_or(0) == 0 {
                continue;
            }
            let mapped = match fs::read_to_string(directory.join("numa_maps")) {
                Ok(text) => numa_maps::parse(&text),
                // It ended meanwhile.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) =>
                {
                    continue;
                }
                Err(_) => {
                    users.hidden += 1;
                    continue;
                }
            };
            let instance = primaries
                .iter()
                .find(|(primary, _)| *primary == pid)
                .map(|(_, name)| name.clone());
            users.list.push(User {
                pid,
                name: name_of(host, pid),
                instance,
                mapped,
            });
        }
        Ok(users)
    }
}

const ESRCH: i32 = nix::libc::ESRCH;

/// The processes of the host and their directories, by id.
pub(crate) fn processes(host: &Host) -> Result<Vec<(u32, std::path::PathBuf)>, Error> {
    let mut processes: Vec<_> = entries(&host.proc)?
        .into_iter()
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path)))
        .collect();
    processes.sort_unstable();
    Ok(processes)
}

/// The name of a process's program.
pub(crate) fn name_of(host: &Host, pid: u32) -> String {
    let name = fs::read_to_string(host.proc.join(pid.to_string()).join("comm")).unwrap_or_default();
    if name.is_empty() {
        "a process".to_owned()
    } else {
        name.trim_end().to_owned()
    }
}

/// Primaries that live, by process id. What cannot be read is another user's and shows as a plain process.
pub(crate) fn primaries(run_dir: &RunDir) -> Vec<(u32, InstanceName)> {
    let instances = run_dir.instances().unwrap_or_default();
    let alive = instances
        .iter()
        .filter(|instance| instance.is_alive().unwrap_or(false));
    alive
        .filter_map(|instance| Some((instance.description().ok()??.pid, instance.name().clone())))
        .collect()
}

/// Puts a process into the tree of a test.
#[cfg(test)]
pub(crate) fn make_process(host: &Host, pid: u32, name: &str, numa_maps: &str) -> std::path::PathBuf {
    let directory = host.proc.join(pid.to_string());
    fs::create_dir_all(directory.join("fd")).unwrap();
    fs::write(directory.join("comm"), format!("{name}\n")).unwrap();
    fs::write(directory.join("maps"), "").unwrap();
    fs::write(directory.join("numa_maps"), numa_maps).unwrap();
    let kib = if numa_maps.is_empty() { 0 } else { 2048 };
    fs::write(
        directory.join("status"),
        format!("Name:\t{name}\nHugetlbPages:\t{kib} kB\n"),
    )
    .unwrap();
    directory
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::instance::Description;

    /// The description of a primary, for tests.
    fn description(name: &str, pid: u32) -> Description {
        Description {
            name: name.parse().unwrap(),
            version: control::VERSION.into(),
            pid,
            start_time: 1,
            file_prefix: format!("tg-{name}"),
            netns: None,
            config: "blue.toml".into(),
            huge_dir: "/nowhere".into(),
            tables: "/nowhere/tg.tables".into(),
            segment: "/tollgate-none".into(),
            group: None,
            stock_tools: false,
            devices: Vec::new(),
            cpus: Vec::new(),
        }
    }

    #[test]
    fn pages_are_a_primarys_or_another_processs() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let run_dir = RunDir::new(&root.path().join("run"));
        let lock = run_dir.instance(&"blue".parse().unwrap()).claim().unwrap();
        lock.publish(&description("blue", 11), None).unwrap();
        make_process(
            &host,
            11,
            "tollgate-primary",
            "1 default file=/a huge dirty=2 N0=2 N1=3 kernelpagesize_kB=2048\n",
        );
        make_process(
            &host,
            9,
            "qemu system",
            "1 default huge dirty=2 N1=7 kernelpagesize_kB=1048576\n",
        );
        make_process(&host, 7, "bash", "");
        let users = Users::scan(&host, &run_dir).unwrap();
        let titles: Vec<_> = users.list.iter().map(User::title).collect();
        assert_eq!(titles, ["qemu system (pid 9)", "instance blue (pid 11)"]);
        let two = "2M".parse().unwrap();
        assert_eq!(
            (users.list[1].pages(two, None), users.list[1].pages(two, Some(1))),
            (5, 3)
        );
        assert_eq!(users.list[0].pages(two, None), 0);
    }

    #[test]
    fn a_dead_instance_is_not_taken_for_the_process_that_got_its_id() {
        let root = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(&root.path().join("run"));
        let blue = run_dir.instance(&"blue".parse().unwrap());
        let lock = blue.claim().unwrap();
        lock.publish(&description("blue", 11), None).unwrap();
        assert_eq!(primaries(&run_dir).len(), 1);
        let copy = fs::read(blue.path().join("instance.json")).unwrap();
        drop(lock);
        fs::create_dir_all(blue.path()).unwrap();
        fs::write(blue.path().join("instance.json"), copy).unwrap();
        assert!(primaries(&run_dir).is_empty());
    }
}
