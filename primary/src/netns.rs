//! Entering a network namespace as `ip netns exec` does: the namespace itself, then a mount namespace of its own in which
//! /sys shows the devices of that network namespace and /etc has the files of /etc/netns/NAME.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::log::notice;

/// Where `ip netns` keeps the names, ip-netns(8).
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// Why the namespace was not entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Text that cannot name one.
    #[error("'{0}' is not the name of a network namespace: use a name that 'ip netns list' shows")]
    Name(String),
    /// There is none of that name.
    #[error(
        "there is no network namespace '{name}' ({}): 'ip netns add {name}' makes it",
        existing(there)
    )]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        there: Vec<String>,
    },
    /// The caller may not.
    #[error("no permission to enter the network namespace '{0}': run as root")]
    Permission(String),
    /// Threads that were there before would stay outside.
    #[error(
        "the network namespace '{0}' must be entered before threads are started: start it with 'ip netns exec {0}'"
    )]
    Threads(String),
    /// Anything else that the kernel refused.
    #[error("cannot {step} for the network namespace '{name}': {source}")]
    Io {
        /// What was tried.
        step: String,
        /// The name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn existing(there: &[String]) -> String {
    if there.is_empty() {
        "there is none with a name".to_owned()
    } else {
        format!("there are {}", there.join(", "))
    }
}

/// Whether the text can name a network namespace: the name of a file.
pub fn validate(name: &str) -> Result<(), NetnsError> {
    let good =
        !name.is_empty() && name.len() <= 255 && !matches!(name, "." | "..") && !name.contains(['/', '\0']);
    if good {
        Ok(())
    } else {
        Err(NetnsError::Name(name.to_owned()))
    }
}

/// The number of the network namespace that this process is in: that of its inode.
pub fn inode() -> io::Result<u64> {
    fs::metadata("/proc/self/ns/net").map(|namespace| namespace.ino())
}

/// Enters the namespace for good. Before any thread is started: a thread keeps the namespaces that it was born in.
pub fn enter(name: &str) -> Result<(), NetnsError> {
    validate(name)?;
    let namespace = open(name)?;
    if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(NetnsError::Threads(name.to_owned()));
    }
    let refused = |step: &str, errno: Errno| match errno {
        Errno::EPERM | Errno::EACCES => NetnsError::Permission(name.to_owned()),
        _ => NetnsError::Io {
            step: step.to_owned(),
            name: name.to_owned(),
            source: errno.into(),
        },
    };
    setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| refused("enter the namespace", errno))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| refused("make a mount namespace", errno))?;
    // Mounts made outside later, of hugepages for example, still arrive; what is mounted here stays here.
    let none: Option<&str> = None;
    match mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none) {
        // In a chroot the root directory is no mount point: what is mounted under it cannot be kept apart as a whole.
        Err(Errno::EINVAL) => return cover_sysfs(name).map_err(|errno| refused("mount /sys", errno)),
        other => other.map_err(|errno| refused("keep mounts apart", errno))?,
    }
    mount_sysfs(name).map_err(|errno| refused("mount /sys", errno))?;
    for (from, to) in etc_files(Path::new("/etc/netns").join(name), Path::new("/etc")) {
        let step = format!("put {} over {}", from.display(), to.display());
        mount(Some(&from), &to, none, MsFlags::MS_BIND, none).map_err(|errno| refused(&step, errno))?;
    }
    notice!(target: "instance", "entered the network namespace '{name}'");
    Ok(())
}

fn open(name: &str) -> Result<File, NetnsError> {
    let mut last = io::ErrorKind::NotFound.into();
    for directory in NAMED {
        match File::open(Path::new(directory).join(name)) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error,
        }
    }
    let name = name.to_owned();
    Err(match last.kind() {
        io::ErrorKind::NotFound => NetnsError::Unknown { name, there: names() },
        io::ErrorKind::PermissionDenied => NetnsError::Permission(name),
        _ => NetnsError::Io {
            step: "open the file".to_owned(),
            name,
            source: last,
        },
    })
}

/// The network namespaces that have names.
fn names() -> Vec<String> {
    let mut names: Vec<String> = NAMED
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Replaces /sys by one that shows the devices of this network namespace, as writable as it was.
fn mount_sysfs(name: &str) -> Result<(), Errno> {
    let read_only = statvfs("/sys").is_ok_and(|sys| sys.flags().contains(FsFlags::ST_RDONLY));
    let flags = if read_only {
        MsFlags::MS_RDONLY
    } else {
        MsFlags::empty()
    };
    // It may hold other mounts, or not be mounted at all.
    match umount2("/sys", MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    let source = CString::new(name).unwrap_or_default();
    mount(
        Some(source.as_c_str()),
        "/sys",
        Some("sysfs"),
        flags,
        None::<&str>,
    )
}

/// In a chroot: keeps the mounts of /sys alone apart and covers it. /etc stays as it is.
fn cover_sysfs(name: &str) -> Result<(), Errno> {
    let none: Option<&str> = None;
    mount(none, "/sys", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
    mount(Some(name), "/sys", Some("sysfs"), MsFlags::empty(), none)
}

/// The files of a namespace's directory and those that they stand for. What is not there cannot be covered, and is left
/// out, as `ip netns exec` leaves it.
fn etc_files(from: PathBuf, etc: &Path) -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = fs::read_dir(from) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| (entry.path(), etc.join(entry.file_name())))
        .filter(|(_, to)| to.exists())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_name_of_a_file() {
        for good in ["blue", "ns-1", "a b", "..."] {
            assert!(validate(good).is_ok(), "{good}");
        }
        for wrong in ["", ".", "..", "a/b", "/run/netns/blue", "a\0"] {
            assert!(matches!(validate(wrong), Err(NetnsError::Name(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_is_refused_by_name() {
        let message = enter("tollgate-no-such-namespace").unwrap_err().to_string();
        assert!(
            message.contains("'tollgate-no-such-namespace'") && message.contains("ip netns add"),
            "{message}"
        );
    }

    #[test]
    fn only_files_that_exist_in_etc_are_covered() {
        let directory = tempfile::tempdir().unwrap();
        let (from, etc) = (directory.path().join("netns"), directory.path().join("etc"));
        for path in [&from, &etc] {
            fs::create_dir(path).unwrap();
        }
        for path in [
            from.join("resolv.conf"),
            from.join("hosts"),
            etc.join("resolv.conf"),
        ] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(
            etc_files(from.clone(), &etc),
            [(from.join("resolv.conf"), etc.join("resolv.conf"))]
        );
        assert_eq!(etc_files(directory.path().join("nowhere"), &etc), []);
    }

    #[test]
    fn this_process_is_in_a_network_namespace() {
        assert!(inode().unwrap() > 0);
    }
}
