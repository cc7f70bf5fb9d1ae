//! What the process may do: as little as its work needs, before it reads keys or anything from outside.
//!
//! ```text
//!   root ─► user of --user, groups ─► capabilities ─► configuration ─► filter ─► attach, threads
//!                                     (rights)                         (filter)
//! ```
//!
//! Rights go first, so that what cannot be read or reached again later cannot be at the start either. Threads inherit both.

mod filter;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use caps::{CapSet, Capability, CapsHashSet};
use control::instance::InstanceDir;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, User, getgroups, initgroups, setgroups, setresgid, setresuid};

pub use self::filter::{FilterError, install};

/// The capability that stays, if it was there: memory with keys is kept out of swap, however many IKE SAs there are.
const KEPT: Capability = Capability::CAP_IPC_LOCK;

/// Why rights could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum ConfinementError {
    /// Nobody is called so.
    #[error("--user: there is no user '{0}': make one, or name another")]
    NoUser(String),
    /// The kernel refused it.
    #[error("--user: cannot become '{user}', which needs root: {source}")]
    User {
        /// The name.
        user: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Capabilities did not go.
    #[error("cannot give up capabilities: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// The kernel would still give rights with a program.
    #[error("cannot give up what other programs have (no_new_privs): {0}")]
    NewPrivileges(io::Error),
}

/// Becomes `user`, or stays who it is in the group of the instance; gives up all capabilities but CAP_IPC_LOCK, and for good what
/// programs with more rights would give; leaves no core dump from here on. Called before there are threads: it is for this one.
///
/// # Errors
///
/// There is no such user, or the kernel refuses: nothing should be done then.
pub fn give_up_rights(user: Option<&str>, directory: Option<&InstanceDir>) -> Result<(), ConfinementError> {
    match user {
        Some(name) => become_user(name)?,
        // Root without capabilities is not above the modes of files: its socket is for the group that may use the instance.
        None => drop(directory.map(join_group)),
    }
    let had = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = had.into_iter().filter(|capability| *capability == KEPT).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)?;
    let failed = |errno: Errno| ConfinementError::NewPrivileges(errno.into());
    prctl::set_no_new_privs().map_err(failed)?;
    // Becoming another user sets it anew. Others of this user cannot look into the process.
    prctl::set_dumpable(false).map_err(failed)
}

fn become_user(name: &str) -> Result<(), ConfinementError> {
    let failed = |errno: Errno| ConfinementError::User {
        user: name.to_owned(),
        source: errno.into(),
    };
    let found = User::from_name(name).map_err(failed)?;
    let user = found.ok_or_else(|| ConfinementError::NoUser(name.to_owned()))?;
    let c_name = std::ffi::CString::new(name).map_err(|_| ConfinementError::NoUser(name.to_owned()))?;
    // Capabilities stay permitted over this: most of them go right behind it.
    caps::securebits::set_keepcaps(true)?;
    initgroups(&c_name, user.gid).map_err(failed)?;
    setresgid(user.gid, user.gid, user.gid).map_err(failed)?;
    setresuid(user.uid, user.uid, user.uid).map_err(failed)?;
    caps::securebits::set_keepcaps(false)?;
    Ok(())
}

/// Joins the group of an instance. Who may not, or finds none, sees what of it when attaching.
fn join_group(directory: &InstanceDir) -> Option<()> {
    let group = Gid::from_raw(fs::metadata(directory.socket()).ok()?.gid());
    let mut groups = getgroups().ok()?;
    if !groups.contains(&group) {
        groups.push(group);
        setgroups(&groups).ok()?;
    }
    Some(())
}
