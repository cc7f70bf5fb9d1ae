//! A turn of DPDK's `ipsec-secgw`, the security gateway among its examples, in its fastest mode: librte_ipsec, and cryptography that the
//! core does by itself while it waits.

use std::{fmt::Write, path::Path};

use super::super::examples::Example;
use super::super::shape::{SINK, Shape};
use super::super::{Bench, write};
use super::{DRIVER, Work, packets, sas};
use crate::error::Error;

/// On devices that check no checksums.
pub(super) const SECGW: Example = Example {
    name: "ipsec-secgw",
    changes: &[(
        "ipsec-secgw.c",
        ".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM",
        ".offloads = 0",
    )],
};

impl Bench {
    /// Packets of this length that it encrypts or decrypts in a second.
    pub(super) fn secgw(&self, program: &Path, work: Work, bytes: usize) -> Result<f64, Error> {
        let file = self.folder.join(format!("secgw-{}.cfg", work.word()));
        write(&file, &configuration(work))?;
        let source = match work {
            Work::Encrypt => self.plain_pcap(bytes, 1),
            Work::Decrypt => self.sealed_pcap(bytes),
        };
        let source = format!("net_pcap0,rx_pcap={},infinite_rx=1", source.display());
        // As with l3fwd: a transmit queue for each lcore, so there is one.
        let lcores = format!("0@{}", self.cores.measured);
        self.peer(program.to_owned(), &lcores, &[&source, SINK, DRIVER], |builder| {
            builder
                .args(["-p", "0x3", "-P", "-l", "-w", "0", "--config", "(0,0,0),(1,0,0)"])
                .args(["-s", &Shape::ORDINARY.packet_buffers.to_string()])
                // Ports whose packets are protected already.
                .args(
                    matches!(work, Work::Decrypt)
                        .then_some(["-u", "0x1"])
                        .into_iter()
                        .flatten(),
                )
                .arg("-f")
                .arg(&file)
        })
    }
}

/// Its SA, the policy that everything goes by it, and the way out.
fn configuration(work: Work) -> String {
    let keys: Vec<_> = sas::keys().iter().map(|byte| format!("{byte:02x}")).collect();
    let (direction, to) = match work {
        Work::Encrypt => ("out", format!("{}/32", sas::opener(0))),
        Work::Decrypt => ("in", packets::BEHIND.to_owned()),
    };
    let spi = sas::FIRST_SPI;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "sp ipv4 {direction} esp protect {spi} pri 1 src 0.0.0.0/0 dst 0.0.0.0/0 sport 0:65535 dport 0:65535\n\
         sa {direction} {spi} aead_algo aes-256-gcm aead_key {} mode ipv4-tunnel src {} dst {} type cpu-crypto\n\
         rt ipv4 dst {to} port 1\n\
         neigh port 1 02:00:00:00:01:00",
        keys.join(":"),
        sas::SEALER,
        sas::opener(0),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_the_keys_and_the_spi_of_ours() {
        for (work, direction, way) in [
            (
                Work::Encrypt,
                "sa out 65536 ",
                "rt ipv4 dst 198.19.128.1/32 port 1",
            ),
            (Work::Decrypt, "sa in 65536 ", "rt ipv4 dst 10.0.0.0/8 port 1"),
        ] {
            let text = configuration(work);
            assert!(text.contains(direction) && text.contains(way), "{text}");
            assert!(text.contains(" aead_key 00:01:02:"), "{text}");
            assert!(text.lines().all(|line| line.trim() == line), "{text}");
        }
    }
}
