//! Counters of a DPDK program, by its telemetry socket: the same for testpmd and l3fwd, and no work for the core that forwards.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ::tests::{Privilege, Wait, interrupt, run};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use serde_json::Value;

use crate::{cargo, error::Error, progress::say};

/// The longest answer of DPDK.
const LONGEST_ANSWER: usize = 16 * 1024;
/// DPDK answers at once, from a thread of its own.
const PATIENCE: i64 = 5;

/// The socket of the program with this file prefix, which belongs to root.
pub(super) fn socket_of(file_prefix: &str) -> PathBuf {
    Path::new("/var/run/dpdk")
        .join(file_prefix)
        .join("dpdk_telemetry.v2")
}

/// Packets per second that leave by `port` during `time`: asked by a process of its own where we are not root.
pub(super) fn rate(privilege: Privilege, path: &Path, port: u16, time: Duration) -> Result<f64, Error> {
    if privilege == Privilege::Direct {
        return rate_here(path, port, time);
    }
    let mut command = privilege.command(cargo::own_program());
    command.arg("rate").arg(path);
    command.args([port.to_string(), time.as_millis().to_string()]);
    privilege.announce(&command, "reads the counters of what is compared with");
    let answer = run(command, Wait::Interruptible(time + Duration::from_secs(30)))?.success()?;
    super::number_of(&answer.stdout)
}

/// The other end of [`rate`].
pub(crate) fn tell_rate(path: &Path, port: u16, time: Duration) -> Result<(), Error> {
    say!("{}", rate_here(path, port, time)?);
    Ok(())
}

fn rate_here(path: &Path, port: u16, time: Duration) -> Result<f64, Error> {
    let telemetry = Telemetry::connect(path)?;
    let (before, began) = telemetry.sent(port)?;
    while began.elapsed() < time {
        interrupt::check()?;
        thread::sleep(interrupt::TICK.min(time));
    }
    let (after, ended) = telemetry.sent(port)?;
    Ok(after.saturating_sub(before) as f64 / ended.duration_since(began).as_secs_f64())
}

/// A connection to the socket.
struct Telemetry<'a> {
    path: &'a Path,
    socket: OwnedFd,
}

impl<'a> Telemetry<'a> {
    fn connect(path: &'a Path) -> Result<Self, Error> {
        let unreachable = |errno| failure(path, errno);
        let socket = socket(
            AddressFamily::Unix,
            SockType::SeqPacket,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(unreachable)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE, 0)).map_err(unreachable)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path).map_err(unreachable)?).map_err(unreachable)?;
        let telemetry = Self { path, socket };
        // It says who it is first.
        telemetry.receive()?;
        Ok(telemetry)
    }

    fn receive(&self) -> Result<Value, Error> {
        let mut answer = vec![0; LONGEST_ANSWER];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())
            .map_err(|errno| failure(self.path, errno))?;
        serde_json::from_slice(&answer[..length])
            .map_err(|error| Error::Unexpected(format!("DPDK's telemetry answered no JSON: {error}")))
    }

    /// Packets that left by `port`, and when that was.
    fn sent(&self, port: u16) -> Result<(u64, Instant), Error> {
        let question = format!("/ethdev/stats,{port}");
        send(
            self.socket.as_raw_fd(),
            question.as_bytes(),
            MsgFlags::MSG_NOSIGNAL,
        )
        .map_err(|errno| failure(self.path, errno))?;
        let asked = Instant::now();
        let answer = self.receive()?;
        let at = asked + asked.elapsed() / 2;
        opackets(&answer).map(|packets| (packets, at)).ok_or_else(|| {
            Error::Unexpected(format!(
                "DPDK's telemetry has no counters of port {port}: {answer}"
            ))
        })
    }
}

fn opackets(answer: &Value) -> Option<u64> {
    answer["/ethdev/stats"]["opackets"].as_u64()
}

fn failure(path: &Path, errno: nix::Error) -> Error {
    Error::File {
        action: "ask DPDK's telemetry at",
        path: path.to_owned(),
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_sent_are_read() {
        let answer = serde_json::json!({"/ethdev/stats": {"ipackets": 1, "opackets": 45_012_345}});
        assert_eq!(opackets(&answer), Some(45_012_345));
        assert_eq!(opackets(&serde_json::json!({"/ethdev/stats": null})), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_by_its_socket() {
        let error = rate_here(&socket_of("nonesuch"), 1, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("/var/run/dpdk/nonesuch"), "{error}");
    }
}
