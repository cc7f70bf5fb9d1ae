//! Which process wrote this: a process id alone is reused, together with its start time it is not.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};

/// A process, named so that a later process with the same id is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    /// The process id as the kernel's root pid namespace sees it.
    pub pid: u32,
    /// Clock ticks after boot when the process started: field 22 of `/proc/PID/stat`, proc(5).
    pub start_time: u64,
}

impl ProcessId {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            start_time: start_time(pid).unwrap_or(0),
        }
    }

    /// Whether a process with this id and this start time runs now. A zombie counts as gone.
    pub fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }
}

/// A descriptor of the process that becomes readable when it ends, pidfd_open(2); `None` when there is no such process.
pub fn pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: a system call without pointers.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: the kernel has just made the descriptor for this process, close-on-exec, and nobody else knows of it.
    Some(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// The start time of `pid`, or `None` when there is no such process or it is a zombie.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may hold spaces and parentheses itself.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // `state` was field 3; 18 more lie before field 22.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn this_process_is_alive_and_its_namesake_is_not() {
        let me = ProcessId::current();
        assert!(me.is_alive());
        assert!(
            !ProcessId {
                start_time: me.start_time + 1,
                ..me
            }
            .is_alive()
        );
    }

    #[test]
    fn a_descriptor_of_a_process_tells_its_end() {
        let ended = |descriptor: &OwnedFd| {
            let mut descriptors = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
            poll(&mut descriptors, PollTimeout::ZERO).unwrap() == 1
        };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let descriptor = pidfd(child.id().cast_signed()).unwrap();
        assert!(!ended(&descriptor));
        child.kill().unwrap();
        while !ended(&descriptor) {
            std::thread::yield_now();
        }
        let pid = child.id().cast_signed();
        child.wait().unwrap();
        assert!(pidfd(pid).is_none(), "it is reaped");
    }

    #[test]
    fn an_ended_process_is_gone_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId {
            pid: child.id(),
            start_time: start_time(child.id()).unwrap(),
        };
        assert!(id.is_alive());
        child.kill().unwrap();
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
