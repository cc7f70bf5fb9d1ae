//! Connections of the load balancer on their way to a tool: one behind the other in memory of their own, whose descriptor goes with
//! [`Reply::Connections`](crate::message::Reply::Connections), memfd_create(2).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::message::{ConnectionInfo, ControlError, ErrorCode};
use crate::text;

const NAME: &CStr = c"tollgate-connections";

/// Puts connections into memory, for the primary to send.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    row: Vec<u8>,
    count: u32,
}

impl Writer {
    /// With none yet. Fails as the kernel does.
    pub fn new() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(NAME, flags)?);
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, file),
            row: Vec::new(),
            count: 0,
        })
    }

    /// Adds one behind the others. Fails as the kernel does, where there is no memory.
    pub fn push(&mut self, connection: &ConnectionInfo) -> io::Result<()> {
        self.row.clear();
        self.row =
            postcard::to_extend(connection, std::mem::take(&mut self.row)).map_err(io::Error::other)?;
        self.file.write_all(&self.row)?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What is to be sent, and nobody can change any more.
    pub fn finish(self) -> io::Result<OwnedFd> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(text::seals()))?;
        Ok(file.into())
    }
}

/// The connections that came with a message, one after the other; nothing is made of those that nobody asks for.
#[derive(Debug)]
pub struct Rows {
    bytes: Vec<u8>,
    at: usize,
    left: u32,
}

impl Rows {
    /// The `count` connections behind the descriptor. Fails with a sentence where it is no file: a pipe would make the reader wait.
    pub fn read(descriptor: OwnedFd, count: u32) -> Result<Self, ControlError> {
        let mut file = File::from(descriptor);
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(unreadable("what it sent is no file"));
        }
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .map_err(|error| unreadable(&error.to_string()))?;
        Ok(Self {
            bytes,
            at: 0,
            left: count,
        })
    }
}

impl Iterator for Rows {
    type Item = Result<ConnectionInfo, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match postcard::take_from_bytes(rest) {
            Ok((connection, behind)) => {
                self.at = self.bytes.len() - behind.len();
                Some(Ok(connection))
            }
            Err(_) => {
                // There is no telling where the next one would begin.
                self.left = 0;
                Some(Err(unreadable("one of them cannot be read")))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        // A number that does not fit the bytes is no reason to take memory for it.
        (left.min(self.bytes.len()), Some(left))
    }
}

fn unreadable(why: &str) -> ControlError {
    ControlError::new(
        ErrorCode::VersionMismatch,
        format!(
            "the connections that the primary sent cannot be read ({why}): use tools of the primary's build"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ServiceProtocol;

    fn connection(port: u16) -> ConnectionInfo {
        ConnectionInfo {
            worker: 3,
            protocol: ServiceProtocol::Tcp,
            icmp_type: None,
            client: ([10, 0, 0, 48], port).into(),
            service: ([10, 0, 0, 100], 80).into(),
            local: "[2001:db8::200]:1025".parse().unwrap(),
            server: ([192, 168, 100, 2], 80).into(),
            state: "established".into(),
            expires_ms: 89_000,
            in_packets: u64::MAX,
            in_bytes: 1,
            out_packets: 2,
            out_bytes: 3,
        }
    }

    fn written(count: u16) -> (OwnedFd, u32) {
        let mut writer = Writer::new().unwrap();
        for port in 0..count {
            writer.push(&connection(port)).unwrap();
        }
        let count = writer.count();
        (writer.finish().unwrap(), count)
    }

    #[test]
    fn connections_come_as_they_were_written() {
        let (descriptor, count) = written(1000);
        let rows: Vec<_> = Rows::read(descriptor, count)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows, (0..1000).map(connection).collect::<Vec<_>>());
        let (descriptor, count) = written(0);
        assert_eq!(Rows::read(descriptor, count).unwrap().count(), 0);
    }

    #[test]
    fn what_is_cut_short_ends_with_an_error() {
        let (descriptor, count) = written(2);
        let mut rows = Rows::read(descriptor, count + 100).unwrap().skip(2);
        let error = rows.next().unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::VersionMismatch);
        assert!(rows.next().is_none());
    }

    #[test]
    fn a_pipe_makes_nobody_wait() {
        let (pipe, _write) = nix::unistd::pipe().unwrap();
        let error = Rows::read(pipe, 1).unwrap_err();
        assert_eq!(error.code, ErrorCode::VersionMismatch, "{error}");
    }
}
