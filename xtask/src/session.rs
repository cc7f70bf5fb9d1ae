//! Who runs the command, and what ends it.

use std::{
    process::{Command, Stdio},
    sync::{Arc, OnceLock, atomic::AtomicUsize},
    thread,
    time::Duration,
};

use ::tests::{Privilege, interrupt};
use nix::unistd::{Uid, User};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::{error::Error, progress::say};

/// sudo forgets a password after a quarter of an hour by default, which a build can take.
const SUDO_REMINDER: Duration = Duration::from_secs(60);

/// From here on SIGINT, SIGTERM and SIGHUP end the work in hand and start the way back; a second one changes nothing.
pub(crate) fn catch_signals() -> Result<(), Error> {
    let caught = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_usize(
            signal,
            Arc::clone(&caught),
            usize::try_from(signal).unwrap_or(usize::MAX),
        )
        .map_err(Error::Signals)?;
    }
    interrupt::watch(caught);
    Ok(())
}

/// The right to change the host: root's, or an ordinary user's whose sudo works. Asked for once; sudo may want a password then and at no
/// other time.
pub(crate) fn privilege() -> Result<Privilege, Error> {
    static GRANTED: OnceLock<Privilege> = OnceLock::new();
    if let Some(privilege) = GRANTED.get() {
        return Ok(*privilege);
    }
    let privilege = Privilege::detect();
    if privilege == Privilege::Sudo {
        say!(
            "Not root: the steps that need it are run with sudo, each named before it runs; cargo runs as you."
        );
        // In our process group, so that it may ask at the terminal.
        let granted = Command::new("sudo")
            .arg("-v")
            .status()
            .is_ok_and(|status| status.success());
        interrupt::check()?;
        if !granted {
            return Err(Error::NoPrivilege { user: user() });
        }
        thread::spawn(remind_sudo);
    }
    Ok(*GRANTED.get_or_init(|| privilege))
}

fn remind_sudo() {
    loop {
        thread::sleep(SUDO_REMINDER);
        // If it fails, the next privileged step fails and says so.
        let _ = Command::new("sudo")
            .args(["-n", "-v"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn user() -> String {
    let uid = Uid::current();
    User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| format!("user {uid}"), |user| user.name)
}
