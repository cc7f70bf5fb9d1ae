//! The peer of the relay: the program that one writes first for router alerts, on a raw socket of the kernel (`IPV6_ROUTER_ALERT`).
//!
//! It counts the hop limit of each packet down and sends it on, one by one or by the batch. Python makes the socket, since Rust has no
//! safe word for its option, and becomes `tg-alerts relay`, which has it as its standard input.

use std::{
    fs::File,
    io::{self, BufWriter, IoSlice, IoSliceMut, Write},
    net::SocketAddrV6,
    os::fd::RawFd,
    time::Duration,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn6, recv, recvmmsg, sendmmsg, sendto};

use crate::{Error, Namespace, Process, binaries};

/// Longer than any packet of a bench.
const LONGEST: usize = 2048;
/// Of the IPv6 header.
const HEADER: usize = 40;
const HOP_LIMIT: usize = 7;
const LIMIT: Duration = Duration::from_secs(30);
const PYTHON: &str = "/usr/bin/python3";
const OPEN: &str = include_str!("../frames/alert_socket.py");

/// How such a relay works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Packets that it takes and sends by one call, 1 to 1024.
    pub batch: usize,
    /// What the kernel keeps for it, bytes; `None` is what sockets have when nobody asks.
    pub buffer: Option<usize>,
    /// Whether it prints each packet, byte by byte, before it sends it on.
    pub prints: bool,
}

impl Tuning {
    /// One packet by a call, and the buffer that every socket has.
    pub const NONE: Self = Self {
        batch: 1,
        buffer: None,
        prints: false,
    };
    /// The same, and each packet is printed, to nowhere.
    pub const PRINTS: Self = Self {
        prints: true,
        ..Self::NONE
    };
    /// What an afternoon's work makes of it: 64 packets by a call, and a buffer of 8 MiB.
    pub const TUNED: Self = Self {
        batch: 64,
        buffer: Some(8 << 20),
        prints: false,
    };
}

/// A relay at work in a namespace; dropped, it is ended.
#[derive(Debug)]
pub struct SocketRelay(Process);

impl SocketRelay {
    /// Starts one for the alerts of IPv6 with this value, on one CPU.
    ///
    /// # Errors
    /// Python is not installed, or the kernel has no such socket.
    pub fn start(namespace: &Namespace, value: u16, tuning: Tuning, cpu: usize) -> Result<Self, Error> {
        let words = [
            value.to_string(),
            tuning.buffer.unwrap_or_default().to_string(),
            cpu.to_string(),
        ];
        let mut process = namespace
            .process("relays by a raw socket", PYTHON)
            .args(["-I", "-c", OPEN])
            .args(words)
            .arg(binaries::find("tg-alerts")?)
            .args(["relay", "--batch", &tuning.batch.to_string()])
            .args(tuning.prints.then_some("--prints"))
            .start()?;
        process.wait_for_stderr("`ready`", LIMIT, |line| line == "ready")?;
        Ok(Self(process))
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had ended before, or had to be killed.
    pub fn end(mut self) -> Result<(), Error> {
        if let Some(status) = self.0.ended() {
            return Err(Error::EndedEarly {
                process: "tg-alerts".to_owned(),
                status,
                expected: "that it relays to the end".to_owned(),
                output: self.0.stderr(),
            });
        }
        self.0.terminate().map(drop)
    }
}

/// Relays what comes by a raw socket of IPv6, `batch` packets at a time, until it fails. One by one, each can be printed before.
///
/// # Errors
/// The kernel refuses to receive. What it refuses to send is lost.
pub fn relay(socket: RawFd, batch: usize, print: Option<File>) -> io::Result<std::convert::Infallible> {
    if batch <= 1 {
        one_by_one(socket, print)
    } else {
        by_the_batch(socket, batch)
    }
}

fn one_by_one(socket: RawFd, print: Option<File>) -> io::Result<std::convert::Infallible> {
    let mut packet = [0; LONGEST];
    let mut print = print.map(BufWriter::new);
    loop {
        let length = recv(socket, &mut packet, MsgFlags::empty())?;
        if let Some(out) = &mut print {
            for byte in &packet[..length] {
                write!(out, "{byte:02X} ")?;
            }
            writeln!(out)?;
        }
        if let Some(to) = count_down(&mut packet[..length]) {
            // No route, no room: the packet is gone, and the next one comes.
            let _ = sendto(socket, &packet[..length], &to, MsgFlags::empty());
        }
    }
}

fn by_the_batch(socket: RawFd, batch: usize) -> io::Result<std::convert::Infallible> {
    let mut packets = vec![[0; LONGEST]; batch];
    let mut received = MultiHeaders::<SockaddrIn6>::preallocate(batch, None);
    let mut sent = MultiHeaders::<SockaddrIn6>::preallocate(batch, None);
    let mut lengths = Vec::with_capacity(batch);
    let mut to = Vec::with_capacity(batch);
    loop {
        lengths.clear();
        {
            let mut slices: Vec<_> = packets
                .iter_mut()
                .map(|packet| [IoSliceMut::new(packet)])
                .collect();
            let at_least_one = MsgFlags::MSG_WAITFORONE;
            let taken = recvmmsg(socket, &mut received, slices.iter_mut(), at_least_one, None)?;
            lengths.extend(taken.map(|message| message.bytes));
        }
        to.clear();
        for (packet, length) in packets.iter_mut().zip(&lengths) {
            to.push(count_down(&mut packet[..*length]));
        }
        let slices: Vec<_> = packets
            .iter()
            .zip(&lengths)
            .map(|(packet, length)| [IoSlice::new(&packet[..*length])])
            .collect();
        let _ = sendmmsg(socket, &mut sent, &slices, &to, [], MsgFlags::empty());
    }
}

/// Counts the hop limit down and says where the packet goes; `None` for what is too short to be one.
fn count_down(packet: &mut [u8]) -> Option<SockaddrIn6> {
    let header = packet.first_chunk_mut::<HEADER>()?;
    header[HOP_LIMIT] = header[HOP_LIMIT].wrapping_sub(1);
    let to = u128::from_be_bytes(*header.last_chunk::<16>()?);
    Some(SocketAddrV6::new(to.into(), 0, 0, 0).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_counted_down_whatever_it_was_and_the_destination_is_where_it_goes() {
        let mut packet = [0; HEADER];
        packet[24..].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        let to = count_down(&mut packet).unwrap();
        assert_eq!(
            (packet[HOP_LIMIT], to.ip()),
            (255, "2001:db8::9".parse().unwrap())
        );
        assert!(count_down(&mut packet[..39]).is_none());
    }
}
