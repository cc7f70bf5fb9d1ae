//! `mount` and `umount`: makes huge pages reachable as files, which EAL and the table region need.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use control::instance::RunDir;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::Group;

use crate::error::{Error, list};
use crate::holders::Holders;
use crate::host::{Host, entries};
use crate::mounts::{self, Mount};
use crate::output::say;
use crate::pool::Pool;
use crate::size::PageSize;
use crate::users::{name_of, primaries};

/// The sources under which our mounts stand in the table of mounts. The second says that the directory was made for the
/// mount and goes with it; nothing else has to be remembered, and nothing outlives a reboot.
const SOURCE: &str = "tollgate";
const SOURCE_WITH_DIRECTORY: &str = "tollgate-directory";

/// Mounts huge pages of a size, the default one when none is named, unless that is done already.
pub(crate) fn mount(
    host: &Host,
    size: Option<PageSize>,
    path: Option<&Path>,
    group: Option<&str>,
) -> Result<(), Error> {
    let default_size = host.default_page_size()?;
    let size = size.unwrap_or(default_size);
    Pool::find(host, size, None)?;
    let group = group.map(group_id).transpose()?;
    if let Some(there) = already(&mounts::all(host)?, size, path)? {
        if let Some(group) = group {
            check_group(&there, group)?;
        }
        say!("huge pages of {size} are mounted at {} already", there.display());
        return Ok(());
    }
    let path = path.map_or_else(|| default_path(host, size, default_size), Path::to_path_buf);
    let made = !path.exists();
    if made {
        fs::create_dir_all(&path).map_err(Error::io("make the directory", &path))?;
    } else if !entries(&path)?.is_empty() {
        let reason =
            "the directory is not empty, and the mount would hide what is in it: name another with --path";
        return Err(Error::InTheWay {
            path,
            reason: reason.to_owned(),
        });
    }
    let source = if made { SOURCE_WITH_DIRECTORY } else { SOURCE };
    let options = options(size, group);
    let mounted = nix::mount::mount(
        Some(source),
        &path,
        Some("hugetlbfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some(options.as_str()),
    );
    if let Err(errno) = mounted {
        if made {
            drop(fs::remove_dir(&path));
        }
        return Err(Error::io("mount huge pages at", &path)(errno.into()));
    }
    say!("mounted huge pages of {size} at {}", path.display());
    Ok(())
}

/// Where pages of this size are mounted already, if they are; an error when something else is at the path.
fn already(mounts: &[Mount], size: PageSize, path: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    let Some(path) = path else {
        let found = mounts.iter().find(|mount| mount.page_size == Some(size));
        return Ok(found.map(|mount| mount.path.clone()));
    };
    match mounts.iter().find(|mount| mount.path == path) {
        None => Ok(None),
        Some(mount) if mount.page_size == Some(size) => Ok(Some(path.to_path_buf())),
        Some(mount) => {
            let what = match mount.page_size {
                Some(other) => format!("huge pages of {other} are"),
                None => format!("{} is", mount.kind),
            };
            let reason = format!("{what} mounted there: name another directory with --path");
            Err(Error::InTheWay {
                path: path.to_path_buf(),
                reason,
            })
        }
    }
}

fn default_path(host: &Host, size: PageSize, default_size: PageSize) -> PathBuf {
    let suffix = if size == default_size {
        String::new()
    } else {
        size.to_string()
    };
    host.dev.join(format!("hugepages{suffix}"))
}

/// A group may make files; all may look, since the table regions of instances of other groups are here too.
fn options(size: PageSize, group: Option<u32>) -> String {
    match group {
        Some(group) => format!("pagesize={size},gid={group},mode=1775"),
        None => format!("pagesize={size},mode=0755"),
    }
}

fn group_id(name: &str) -> Result<u32, Error> {
    let unknown = || Error::Group {
        name: name.to_owned(),
    };
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => name.parse().map_err(|_| unknown()),
    }
}

fn check_group(path: &Path, group: u32) -> Result<(), Error> {
    let found = fs::metadata(path).map_err(Error::io("look at", path))?.gid();
    if found == group {
        return Ok(());
    }
    let reason = format!(
        "it is mounted already, for group id {found}: unmount it first ('tollgate-hugepage-setup umount --path {}')",
        path.display()
    );
    Err(Error::InTheWay {
        path: path.to_path_buf(),
        reason,
    })
}

/// Unmounts the mount at `path`, or all that [`mount`] made. What is in use stays.
pub(crate) fn umount(host: &Host, run_dir: &RunDir, path: Option<&Path>) -> Result<(), Error> {
    let mut chosen = mounts::huge(host)?;
    match path {
        Some(path) => chosen.retain(|mount| mount.path == path),
        None => chosen.retain(|mount| [SOURCE, SOURCE_WITH_DIRECTORY].contains(&mount.source.as_str())),
    }
    match path {
        Some(path) if chosen.is_empty() => {
            return Err(Error::NotMounted {
                path: path.to_path_buf(),
            });
        }
        None if chosen.is_empty() => {
            say!("nothing to unmount: 'mount' made none of what is there; name one with --path")
        }
        _ => {}
    }
    let results: Vec<_> = chosen
        .iter()
        .map(|mount| umount_one(host, run_dir, mount))
        .collect();
    results.into_iter().collect()
}

fn umount_one(host: &Host, run_dir: &RunDir, mount: &Mount) -> Result<(), Error> {
    let path = &mount.path;
    let busy = |users| Error::InUse {
        path: path.clone(),
        users,
    };
    if let Some(users) = users(host, run_dir, path)? {
        return Err(busy(users));
    }
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => {}
        Err(nix::Error::EBUSY) => return Err(busy("a process that works in it".to_owned())),
        Err(errno) => return Err(Error::io("unmount", path)(errno.into())),
    }
    say!("unmounted {}", path.display());
    if mount.source == SOURCE_WITH_DIRECTORY {
        // Something was put into it meanwhile, then it stays.
        drop(fs::remove_dir(path));
    }
    Ok(())
}

/// The files of a mount and the processes that hold any, also deleted ones; `None` when there is neither.
fn users(host: &Host, run_dir: &RunDir, path: &Path) -> Result<Option<String>, Error> {
    const MOST: usize = 5;
    let device = fs::metadata(path).map_err(Error::io("look at", path))?.dev();
    let primaries = primaries(run_dir);
    let holders = Holders::scan(host, &[device].into())?.of_device(device);
    let mut users: Vec<_> = holders
        .iter()
        .map(|pid| match primaries.iter().find(|(primary, _)| primary == pid) {
            Some((_, instance)) => format!("instance {instance} (pid {pid})"),
            None => format!("{} (pid {pid})", name_of(host, *pid)),
        })
        .collect();
    let files = entries(path)?;
    users.extend(files.iter().take(MOST).map(|file| file.display().to_string()));
    if files.len() > MOST {
        users.push(format!("{} more files", files.len() - MOST));
    }
    Ok((!users.is_empty()).then(|| list(&users)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount_at(path: &str, kind: &str, size: Option<&str>) -> Mount {
        let page_size = size.map(|size| size.parse().unwrap());
        Mount {
            source: "none".into(),
            path: path.into(),
            kind: kind.into(),
            page_size,
            limit: None,
        }
    }

    fn size(text: &str) -> PageSize {
        text.parse().unwrap()
    }

    #[test]
    fn one_mount_of_a_size_is_enough_unless_a_path_is_named() {
        let mounts = [mount_at("/mnt/a", "hugetlbfs", Some("2M"))];
        assert_eq!(already(&mounts, size("2M"), None).unwrap(), Some("/mnt/a".into()));
        assert_eq!(already(&mounts, size("1G"), None).unwrap(), None);
        assert_eq!(
            already(&mounts, size("2M"), Some(Path::new("/mnt/b"))).unwrap(),
            None
        );
        assert_eq!(
            already(&mounts, size("2M"), Some(Path::new("/mnt/a"))).unwrap(),
            Some("/mnt/a".into())
        );
    }

    #[test]
    fn what_else_is_mounted_at_the_path_is_named() {
        let mounts = [
            mount_at("/mnt/a", "hugetlbfs", Some("2M")),
            mount_at("/mnt/t", "tmpfs", None),
        ];
        let message = already(&mounts, size("1G"), Some(Path::new("/mnt/a")))
            .unwrap_err()
            .to_string();
        assert!(message.contains("huge pages of 2M"), "{message}");
        let message = already(&mounts, size("2M"), Some(Path::new("/mnt/t")))
            .unwrap_err()
            .to_string();
        assert!(message.contains("tmpfs"), "{message}");
    }

    #[test]
    fn the_default_size_is_at_the_customary_place() {
        let host = Host::this();
        assert_eq!(
            default_path(&host, size("2M"), size("2M")),
            PathBuf::from("/dev/hugepages")
        );
        assert_eq!(
            default_path(&host, size("1G"), size("2M")),
            PathBuf::from("/dev/hugepages1G")
        );
    }

    #[test]
    fn a_group_is_taken_by_name_and_number() {
        assert_eq!(group_id("root").unwrap(), 0);
        assert_eq!(group_id("4711").unwrap(), 4711);
        assert!(
            group_id("no-such-group")
                .unwrap_err()
                .to_string()
                .contains("groupadd")
        );
        assert_eq!(options(size("1G"), Some(7)), "pagesize=1G,gid=7,mode=1775");
    }

    #[test]
    fn a_mount_with_files_is_in_use_by_them() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        fs::create_dir_all(&host.proc).unwrap();
        let run_dir = RunDir::new(&root.path().join("run"));
        let mount = root.path().join("huge");
        fs::create_dir(&mount).unwrap();
        assert_eq!(users(&host, &run_dir, &mount).unwrap(), None);
        for number in 0..7 {
            fs::write(mount.join(format!("map_{number}")), "").unwrap();
        }
        let told = users(&host, &run_dir, &mount).unwrap().unwrap();
        assert!(
            told.contains("/map_0") && told.ends_with("2 more files"),
            "{told}"
        );
    }
}
