//! The runtime directory of an EAL prefix: whether a process lives in it, and its removal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::libc;

use super::Scene;
use super::lock::{is_record_locked, take_record_lock};
use super::record::Outcome;
use crate::error::Error;
use crate::holders::titles;
use crate::host::{Host, entries};

/// Whether processes can share the prefix of `directory` with a dead primary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The lock of the prefix's instance is held here, so no other is starting.
    Ours,
    /// Any program may be starting there.
    Anyone,
}

/// Prefixes that a process lives in.
pub(crate) fn live_prefixes(host: &Host) -> Result<Vec<String>, Error> {
    let directories = entries(&host.eal)?;
    let alive = directories.iter().filter(|path| is_alive(path).unwrap_or(true));
    Ok(alive
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect())
}

/// Whether a primary or secondary lives in the directory: it locks `config` or owns a socket.
fn is_alive(directory: &Path) -> io::Result<bool> {
    match File::open(directory.join("config")) {
        Ok(config) if is_record_locked(&config)? => return Ok(true),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() && socket_has_owner(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process has the socket, in whatever network namespace. Nobody notices the question: a datagram socket only
/// remembers the address, and one of another type is refused by its type.
fn socket_has_owner(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(false),
        _ => Ok(true),
    }
}

/// Removes the directory if it is dead.
pub(crate) fn remove(scene: &Scene, directory: &Path, owner: Owner) -> Outcome {
    match try_remove(scene, directory, owner) {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Left,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn try_remove(scene: &Scene, directory: &Path, owner: Owner) -> io::Result<Outcome> {
    if !fs::symlink_metadata(directory)?.is_dir() || is_alive(directory)? {
        return Ok(Outcome::Left);
    }
    let files: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    let mut bytes = 0;
    for file in &files {
        let meta = fs::symlink_metadata(file)?;
        bytes += meta.blocks() * 512;
        let holders = scene.holders.of(&meta);
        if !holders.is_empty() {
            return Ok(held(scene, &holders, owner));
        }
    }
    let config = directory.join("config");
    let lock = match OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&config)
    {
        Ok(file) => Some(file),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match &lock {
        // A program with --in-memory has no config: it may live without a trace, or be starting.
        None if owner == Owner::Anyone => return Ok(Outcome::Left),
        _ if scene.dry_run => return Ok(Outcome::Removed(bytes)),
        Some(file) if !take_record_lock(file)? => return Ok(Outcome::Left),
        _ => {}
    }
    // The lock goes last: while it is there, a primary that starts on this prefix is refused in one sentence.
    for file in files.iter().filter(|file| **file != config) {
        fs::remove_file(file)?;
    }
    if lock.is_some() {
        fs::remove_file(&config)?;
    }
    match fs::remove_dir(directory) {
        // Somebody starts there by now.
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(Outcome::Left),
        other => other.map(|()| {
            // EAL makes the one above as well. It is not empty while another DPDK program runs.
            drop(fs::remove_dir(&scene.host.eal));
            Outcome::Removed(bytes)
        }),
    }
}

/// What a live process still holds stays. Of an instance that is worth a word, since its registry entry goes.
pub(crate) fn held(scene: &Scene, holders: &[u32], owner: Owner) -> Outcome {
    match owner {
        Owner::Anyone => Outcome::Left,
        Owner::Ours => {
            let titles = titles(scene.host, holders);
            Outcome::Failed(format!(
                "it is still open in {titles}: end that, then clean again"
            ))
        }
    }
}
