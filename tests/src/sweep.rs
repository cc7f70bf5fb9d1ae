//! Removes what a run has left: for test processes that were killed before their guards could be dropped.
//!
//! A process is of a run if its environment says so; a namespace or a file if its name carries the run's prefix. Nothing else is touched.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Error, Privilege, RUN_ID_VARIABLE, RunId, command::GRACE, snapshot::hugetlbfs_mounts};

/// What [`sweep()`] found and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Swept {
    /// Processes ended.
    pub processes: usize,
    /// Namespaces deleted.
    pub namespaces: usize,
    /// Files and folders removed.
    pub files: usize,
}

/// Ends the processes of `run` (SIGTERM, then SIGKILL), deletes its namespaces, and removes its files from hugetlbfs, DPDK's run-time
/// folder, /dev/shm, /run/tollgate and the folder of temporary files. Needs root.
///
/// # Errors
/// A namespace or a file could not be removed.
pub fn sweep(run: &RunId) -> Result<Swept, Error> {
    let mut swept = Swept {
        processes: end_processes(run),
        ..Swept::default()
    };
    for name in with_prefix(Path::new("/run/netns"), run) {
        Privilege::Direct.run_to_undo("deletes a namespace", &["ip", "netns", "del", &name])?;
        swept.namespaces += 1;
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let temporary = std::env::temp_dir();
    let folders = ["/var/run/dpdk", "/run/dpdk", "/dev/shm", "/run/tollgate"]
        .map(Path::new)
        .into_iter()
        .chain(hugetlbfs_mounts(&mounts).map(Path::new))
        .chain([temporary.as_path()]);
    for folder in folders {
        for name in with_prefix(folder, run) {
            remove(&folder.join(name))?;
            swept.files += 1;
        }
    }
    Ok(swept)
}

/// The names in `folder` that hold the prefix of `run` as a word or behind a dash ("tg-tg1x-..." and "tollgate-tg1x-...").
fn with_prefix(folder: &Path, run: &RunId) -> Vec<String> {
    let prefix = run.prefix();
    let of_run = |name: &String| {
        name.match_indices(&prefix)
            .any(|(at, _)| !name[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(of_run)
        .collect()
}

fn remove(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Ends every process of the run and returns how many there were.
fn end_processes(run: &RunId) -> usize {
    let found = processes(run);
    let mut left = found.clone();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for &pid in &left {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        let told = Instant::now();
        while !left.is_empty() && told.elapsed() < GRACE {
            thread::sleep(Duration::from_millis(5));
            left = processes(run);
        }
    }
    found.len()
}

fn processes(run: &RunId) -> BTreeSet<i32> {
    let mark = format!("{RUN_ID_VARIABLE}={run}");
    let own = std::process::id().cast_signed();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own && is_marked(pid, mark.as_bytes()))
        .collect()
}

/// Whether the process was started with the mark in its environment. A zombie has no environment any more.
fn is_marked(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|pair| pair == mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessBuilder;

    #[test]
    fn only_names_of_the_run_are_its_remains() {
        let run = RunId::parse("1x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mine = ["tg1x-5-0-gw", "tg-tg1x-5-0-gw", "tollgate-tg1x-5-0-gw.sock"];
        let others = ["tg1xy-5-0-gw", "atg1x-5", "rtemap_0", "tg2-5-0-gw"];
        for name in mine.iter().chain(&others) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut found = with_prefix(folder.path(), &run);
        found.sort();
        let mut expected = mine.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_process_of_the_run_is_ended_and_another_is_not() {
        // An identity that no process has: pids end at 2^22.
        let run = RunId::parse("zzzzzzz").unwrap();
        let sleep = |id: &str| {
            ProcessBuilder::new(Privilege::Direct, "test", "sh")
                .args(["-c", "echo up; exec sleep 60"])
                .env(RUN_ID_VARIABLE, id)
                .start()
                .unwrap()
        };
        let (mut mine, mut other) = (sleep("zzzzzzz"), sleep("zzzzzzy"));
        for process in [&mut mine, &mut other] {
            process
                .wait_for_stdout("`up`", GRACE, |line| line == "up")
                .unwrap();
        }
        let reaped = thread::spawn(move || mine.wait(GRACE).unwrap());
        assert_eq!(end_processes(&run), 1);
        assert!(!reaped.join().unwrap().success());
        assert_eq!(other.ended(), None);
    }

    #[test]
    fn a_folder_and_its_contents_go() {
        let folder = tempfile::tempdir().unwrap();
        let instance = folder.path().join("tg1x-5-0-gw");
        fs::create_dir_all(instance.join("run")).unwrap();
        fs::write(instance.join("run/lock"), "").unwrap();
        remove(&instance).unwrap();
        assert!(!instance.exists());
        remove(&instance).unwrap();
    }
}
