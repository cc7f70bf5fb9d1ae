//! Helpers that are children of the relay.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::User;

use super::carry::Connection;

/// Starts a program: `words` are its path and its arguments, and no shell sees them. Its standard error is the relay's.
pub(super) fn start(words: &[String], user: Option<&str>) -> io::Result<Connection> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What ends the relay by Ctrl-C does not end the helper before it.
        .process_group(0);
    if let Some(name) = user {
        let user = User::from_name(name)?;
        let user = user.ok_or_else(|| io::Error::other(format!("there is no user '{name}'")))?;
        // Supplementary groups go with the user.
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let said = |error: io::Error| io::Error::new(error.kind(), format!("cannot start {program}: {error}"));
    let mut child = command.spawn().map_err(said)?;
    let shown = format!("{program}, process {}", child.id());
    let (input, output) = (child.stdout.take(), child.stdin.take());
    let mut connection = Connection {
        input: None,
        output: None,
        is_message_wise: false,
        child: Some(child),
        shown,
    };
    let file = |end: OwnedFd| -> io::Result<File> {
        set_nonblocking(&end)?;
        Ok(File::from(end))
    };
    connection.input = input.map(|end| file(end.into())).transpose()?;
    connection.output = output.map(|end| file(end.into())).transpose()?;
    Ok(connection)
}

/// Of this end alone: the child's is another description of the pipe.
fn set_nonblocking(end: &impl AsFd) -> io::Result<()> {
    let flags = fcntl(end, FcntlArg::F_GETFL)?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(end, FcntlArg::F_SETFL(flags))?;
    Ok(())
}
