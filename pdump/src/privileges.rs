//! Root is given up for another user as soon as the capture has begun (`-Z`), and files are made for a group (`--group`).

use std::ffi::CString;
use std::io;
use std::path::Path;

use control::instance::InstanceDir;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{
    AccessFlags, Gid, Group, Uid, User, access, getegid, geteuid, initgroups, setresgid, setresuid,
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

/// Becomes `user` with its groups, for good, and sees that what is to be done later can be done still: to make files in
/// `directory`, and to attach to `instance` again.
///
/// # Errors
///
/// The kernel refuses, or the user may not do that.
pub fn give_up(
    user: &User,
    directory: Option<&Path>,
    instance: Option<&InstanceDir>,
) -> Result<(), PrivilegeError> {
    become_user(user).map_err(|errno| PrivilegeError::User {
        user: user.name.clone(),
        source: errno.into(),
    })?;
    if let Some(directory) = directory
        && access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_err()
    {
        return Err(PrivilegeError::Directory {
            user: user.name.clone(),
            directory: directory.display().to_string(),
        });
    }
    if let Some(instance) = instance
        && access(&instance.socket(), AccessFlags::W_OK).is_err()
    {
        return Err(PrivilegeError::Instance {
            user: user.name.clone(),
            instance: instance.name().to_string(),
        });
    }
    Ok(())
}

/// The kernel takes all capabilities with the last user ID that is root's.
fn become_user(user: &User) -> Result<(), Errno> {
    if (geteuid(), getegid()) == (user.uid, user.gid) && Uid::current() == user.uid {
        return prctl::set_no_new_privs();
    }
    let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    prctl::set_no_new_privs()
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
