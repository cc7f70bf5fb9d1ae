//! A turn of DPDK's own `dpdk-dumpcap`.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ::tests::{Primary, Process, ProcessBuilder, interrupt};
use nix::sys::signal::Signal;

use super::super::{Bench, START_LIMIT, pause};
use super::{Kind, SNAPLEN, Taken, dump_file};
use crate::error::Error;

/// The first device of the bench's primary.
const DEVICE: &str = "net_pcap0";
/// More than is in a file before the first packet.
const HEADERS: u64 = 1000;
/// Where nothing is written to tell that it has begun, on a host that is busy with other things.
const STARTING: Duration = Duration::from_millis(500);
/// How closely the growth of a file is watched.
const LOOK: Duration = Duration::from_micros(200);
/// Types of blocks, and where they have it: section header and enhanced packet.
const SECTION: u32 = 0x0a0d_0d0a;
const PACKET: u32 = 6;

impl Bench {
    /// From the start of the tool to the first packet in the file.
    pub(super) fn dumpcap_attach(&self, primary: &Primary) -> Result<Duration, Error> {
        let file = dump_file()?;
        let began = Instant::now();
        let mut tool = self.start_dumpcap(primary, None, &file)?;
        let came = first_packet(&mut tool, &file).map(|()| began.elapsed());
        end(&mut tool)?;
        self.remove(&file)?;
        came
    }

    /// Captures beside the worker.
    pub(super) fn dumpcap(&self, primary: &Primary, kind: &Kind, file: &Path) -> Result<Taken, Error> {
        let mut tool = self.start_dumpcap(primary, kind.filter, file)?;
        let began = match kind.name == super::NOTHING.name {
            true => pause(STARTING),
            false => first_packet(&mut tool, file),
        };
        let measured = began.and_then(|()| {
            let (before, began) = (length(file), Instant::now());
            let turn = self.watch(primary)?;
            Ok((turn, length(file).saturating_sub(before), began.elapsed()))
        });
        if tool.ended().is_some() {
            return Err(gave_up(&tool));
        }
        end(&mut tool)?;
        let (turn, bytes, time) = measured?;
        self.make_readable(file)?;
        // All packets of the bench are of one length.
        let written = packet_bytes(file).map_or(0.0, |each| bytes as f64 / f64::from(each));
        Ok(Taken {
            turn,
            written: written / time.as_secs_f64(),
        })
    }

    fn start_dumpcap(&self, primary: &Primary, filter: Option<&str>, file: &Path) -> Result<Process, Error> {
        let tool = ProcessBuilder::new(self.privilege, "captures as DPDK does", "taskset")
            .args(["-c", &self.cores.control.to_string(), "dpdk-dumpcap"])
            .arg(format!("--file-prefix={}", primary.instance()))
            .args(["-q", "-p", "-i", DEVICE, "-s", SNAPLEN])
            .args(filter.iter().flat_map(|filter| ["-f", *filter]))
            .arg("-w")
            .arg(file);
        Ok(tool.start()?)
    }
}

/// Killed, it would leave the worker slow.
fn end(tool: &mut Process) -> Result<(), Error> {
    tool.signal(Signal::SIGINT);
    tool.wait(START_LIMIT)?;
    Ok(())
}

fn gave_up(tool: &Process) -> Error {
    Error::Unexpected(format!("{tool:?} captured nothing; it said:\n{}", tool.stderr()))
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

fn first_packet(tool: &mut Process, file: &Path) -> Result<(), Error> {
    let began = Instant::now();
    while length(file) < HEADERS {
        if tool.ended().is_some() || began.elapsed() > START_LIMIT {
            return Err(gave_up(tool));
        }
        interrupt::check()?;
        thread::sleep(LOOK);
    }
    Ok(())
}

/// What the first packet of a pcapng file takes in it.
fn packet_bytes(file: &Path) -> Option<u32> {
    let mut beginning = Vec::new();
    File::open(file)
        .ok()?
        .take(2 * HEADERS)
        .read_to_end(&mut beginning)
        .ok()?;
    length_of_first_packet(&beginning)
}

/// The length of the first block that is a packet; the file is of this machine.
fn length_of_first_packet(mut blocks: &[u8]) -> Option<u32> {
    let word = |at: &[u8]| Some(u32::from_le_bytes(*at.first_chunk()?));
    (word(blocks)? == SECTION).then_some(())?;
    loop {
        let (kind, length) = (word(blocks)?, word(blocks.get(4..)?)?);
        if kind == PACKET {
            return Some(length);
        }
        // The least that a block can be.
        blocks = blocks.get((length as usize).max(12)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_is_found_behind_the_headers() {
        let block = |kind: u32, length: u32| {
            let mut block = vec![0; length as usize];
            block[..4].copy_from_slice(&kind.to_le_bytes());
            block[4..8].copy_from_slice(&length.to_le_bytes());
            block
        };
        let headers = [block(SECTION, 28), block(1, 20)].concat();
        assert_eq!(length_of_first_packet(&headers), None);
        let file = [headers, block(PACKET, 108)].concat();
        assert_eq!(length_of_first_packet(&file), Some(108));
        assert_eq!(length_of_first_packet(&file[28..]), None, "no section");
        let mut endless = block(SECTION, 12);
        endless[4..8].fill(0);
        assert_eq!(length_of_first_packet(&endless), None);
    }
}
