//! How long it takes until IKE_SA_INIT is answered: from when the request arrives at the link of who answers until the answer arrives at
//! that of who has asked, by the kernel's clock and tcpdump at both.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ::tests::{Namespace, Process, Recorded, read_pcap};
use packet::{EthernetHeader, Ipv4, Udp};

use super::site::{EAST_LINK, Site, WEST_LINK};
use crate::error::Error;

const LIMIT: Duration = Duration::from_secs(30);
const IKE_SA_INIT: u8 = 34;
/// In the flags of an IKE header: it is an answer.
const RESPONSE: u8 = 0x20;

/// Both captures.
pub(super) struct Answers {
    captures: [(Process, PathBuf); 2],
}

impl Answers {
    /// Begins to look.
    pub(super) fn watch(site: &Site, folder: &Path) -> Result<Self, Error> {
        let [west, east] = &site.namespaces;
        Ok(Self {
            captures: [
                capture(east, EAST_LINK, folder.join("ike-east.pcap"))?,
                capture(west, WEST_LINK, folder.join("ike-west.pcap"))?,
            ],
        })
    }

    /// Of each request, seconds until it was answered.
    pub(super) fn end(self) -> Result<Vec<f64>, Error> {
        let read = |(mut process, file): (Process, PathBuf)| {
            process.terminate()?;
            Ok::<_, Error>(read_pcap(&file)?)
        };
        let [asked, answered] = self.captures;
        let took = times(&read(asked)?, &read(answered)?);
        if took.is_empty() {
            return Err(Error::Unexpected(
                "tcpdump has seen no IKE_SA_INIT that was answered".to_owned(),
            ));
        }
        Ok(took)
    }
}

fn capture(namespace: &Namespace, link: &str, file: PathBuf) -> Result<(Process, PathBuf), Error> {
    let mut process = namespace
        .process("sees when IKE_SA_INIT is answered", "tcpdump")
        .args([
            "-i",
            link,
            "-Q",
            "in",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
        ])
        .arg(&file)
        .arg("udp port 500")
        .start()?;
    process.wait_for_stderr("that it captures", LIMIT, |line| line.contains("listening on"))?;
    Ok((process, file))
}

/// The times between the first request of an SPI and the first answer to it.
fn times(asked: &[Recorded], answered: &[Recorded]) -> Vec<f64> {
    let first = |packets: &[Recorded], of_answers: bool| {
        let mut times = BTreeMap::new();
        for packet in packets {
            if let Some((spi, is_answer)) = init(&packet.data)
                && is_answer == of_answers
            {
                times.entry(spi).or_insert(packet.time);
            }
        }
        times
    };
    let answers = first(answered, true);
    let times = first(asked, false).into_iter();
    times
        .filter_map(|(spi, asked)| Some(answers.get(&spi)?.saturating_sub(asked).as_secs_f64()))
        .collect()
}

/// The initiator's SPI of a message of IKE_SA_INIT, and whether it is an answer.
fn init(frame: &[u8]) -> Option<([u8; 8], bool)> {
    let (_, packet) = EthernetHeader::parse(frame).ok()?;
    let ip = Ipv4::parse(packet).ok()?;
    let udp = Udp::parse(ip.payload()).ok()?;
    let message = udp.payload();
    let spi = *message.first_chunk::<8>()?;
    let (exchange, flags) = (*message.get(18)?, *message.get(19)?);
    (exchange == IKE_SA_INIT).then_some((spi, flags & RESPONSE != 0))
}

#[cfg(test)]
mod tests {
    use packet::{MacAddress, PacketBuilder};

    use super::*;

    fn message(spi: u8, flags: u8, milliseconds: u64) -> Recorded {
        let mut header = [0; 28];
        header[..8].fill(spi);
        header[18] = IKE_SA_INIT;
        header[19] = flags;
        let link = PacketBuilder::ethernet(MacAddress([2; 6]), MacAddress([4; 6]));
        Recorded {
            time: Duration::from_millis(milliseconds),
            data: link
                .ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
                .udp(500, 500, &header),
            interface: String::new(),
        }
    }

    #[test]
    fn a_time_is_from_the_first_request_to_the_first_answer_of_its_spi() {
        let asked = [message(1, 8, 100), message(2, 8, 150), message(1, 8, 600)];
        let answered = [message(1, 0x20, 104), message(1, 0x20, 604), message(3, 0x20, 1)];
        assert_eq!(times(&asked, &answered), [0.004]);
    }
}
