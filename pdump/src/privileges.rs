//! Root is given up for another user as soon as the capture has begun (`-Z`), and files are made for a group (`--group`).

use std::ffi::CString;
use std::io;
use std::path::Path;

use control::instance::InstanceDir;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{
    AccessFlags, Gid, Group, Uid, User, eaccess, getegid, geteuid, getgroups, initgroups, setegid, seteuid,
    setgroups, setresgid, setresuid,
};

/// Why rights cannot be given up, or files not be given away.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody is called so.
    #[error("-Z: there is no user '{0}': make one, or name another")]
    NoUser(String),
    /// No group is.
    #[error("--group: there is no group '{0}': make one, or name another")]
    NoGroup(String),
    /// The kernel refused it.
    #[error("-Z: cannot become '{user}', which needs root: {source}")]
    User {
        /// The name.
        user: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The user could not make the files that follow.
    #[error(
        "-Z: '{user}' may make no files in {directory}, as -b does: let it write there, or name another directory after -w"
    )]
    Directory {
        /// The name.
        user: String,
        /// The directory.
        directory: String,
    },
    /// The user could not give them to the group.
    #[error(
        "-Z: '{user}' is no member of the group that --group gives files to: make it one, or name another group"
    )]
    Group {
        /// The name.
        user: String,
    },
    /// The user could not attach again.
    #[error(
        "-Z: '{user}' may not attach to '{instance}' again, as --follow does: make it a member of the instance's group"
    )]
    Instance {
        /// The name.
        user: String,
        /// The instance.
        instance: String,
    },
}

/// Finds who `-Z` names.
///
/// # Errors
///
/// There is no such user.
pub fn user(name: &str) -> Result<User, PrivilegeError> {
    let found = User::from_name(name).map_err(|errno| PrivilegeError::User {
        user: name.to_owned(),
        source: errno.into(),
    })?;
    found.ok_or_else(|| PrivilegeError::NoUser(name.to_owned()))
}

/// Finds the group that `--group` names.
///
/// # Errors
///
/// There is no such group.
pub fn group(name: &str) -> Result<Gid, PrivilegeError> {
    let found = Group::from_name(name).ok().flatten();
    found
        .map(|group| group.gid)
        .ok_or_else(|| PrivilegeError::NoGroup(name.to_owned()))
}

/// What a capture does as another user, later.
#[derive(Clone, Copy, Default)]
pub struct Later<'a> {
    /// It makes files in this directory.
    pub directory: Option<&'a Path>,
    /// It gives files to this group.
    pub group: Option<Gid>,
    /// It attaches to this instance again.
    pub instance: Option<&'a InstanceDir>,
}

/// Sees that `user` can do what is to be done later, and becomes that user with its groups, for good.
///
/// # Errors
///
/// The user may not do that: then nothing has changed. Or the kernel refuses.
pub fn give_up(user: &User, later: Later<'_>) -> Result<(), PrivilegeError> {
    let failed = |errno: Errno| PrivilegeError::User {
        user: user.name.clone(),
        source: errno.into(),
    };
    let name = CString::new(user.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
    let is_user = (geteuid(), getegid()) == (user.uid, user.gid) && Uid::current() == user.uid;
    if is_user {
        check(user, later)?;
        return prctl::set_no_new_privs().map_err(failed);
    }
    let before = (geteuid(), getegid(), getgroups().map_err(failed)?);
    initgroups(&name, user.gid).map_err(failed)?;
    // For a look only: a file that turns out to be of no use is still root's to remove.
    setegid(user.gid)
        .and_then(|()| seteuid(user.uid))
        .map_err(failed)?;
    let checked = check(user, later);
    let (uid, gid, groups) = before;
    seteuid(uid).and_then(|()| setegid(gid)).map_err(failed)?;
    if checked.is_err() {
        setgroups(&groups).map_err(failed)?;
        return checked;
    }
    setresgid(user.gid, user.gid, user.gid).map_err(failed)?;
    // The kernel takes all capabilities with the last user ID that is root's.
    setresuid(user.uid, user.uid, user.uid).map_err(failed)?;
    prctl::set_no_new_privs().map_err(failed)
}

/// Whether who the process is just now can do it.
fn check(user: &User, later: Later<'_>) -> Result<(), PrivilegeError> {
    let name = || user.name.clone();
    if let Some(directory) = later.directory
        && eaccess(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_err()
    {
        return Err(PrivilegeError::Directory {
            user: name(),
            directory: directory.display().to_string(),
        });
    }
    if let Some(group) = later.group
        && group != getegid()
        && !getgroups().is_ok_and(|groups| groups.contains(&group))
    {
        return Err(PrivilegeError::Group { user: name() });
    }
    if let Some(instance) = later.instance
        && eaccess(&instance.socket(), AccessFlags::W_OK).is_err()
    {
        return Err(PrivilegeError::Instance {
            user: name(),
            instance: instance.name().to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_knows_who_is_not_there() {
        let said = user("no-such-user").unwrap_err().to_string();
        assert!(said.contains("-Z: there is no user 'no-such-user'"), "{said}");
        let said = group("no-such-group").unwrap_err().to_string();
        assert!(said.contains("--group: there is no group"), "{said}");
        assert_eq!(user("root").unwrap().uid, Uid::from_raw(0));
        assert_eq!(group("root").unwrap(), Gid::from_raw(0));
    }
}
