//! How much one worker seals and opens by ESP, beside DPDK's own programs, and how fast SAs are installed.
//!
//! ```text
//!   plain.pcap  ─► net_pcap0, infinite_rx ─► one core: tollgate-primary ─► net_null0     encrypt
//!   sealed.pcap ─► net_pcap0, infinite_rx ─► one core: tollgate-primary ─► net_null0     decrypt
//! ```
//!
//! AES-GCM with keys of 256 bits, tunnel mode, IPv4 in IPv4. All figures count the IP packets inside of tunnels: what is sealed, or what
//! comes out.

mod crypto_perf;
mod ours;
mod packets;
pub(crate) mod sas;
mod secgw;

use std::path::Path;

use control::message::SAS_PER_REQUEST;

use super::Bench;
use super::figures::{Bound, Section, Unit};
use super::traffic::Family;
use crate::{error::Error, progress::say};
use ours::Gateway;
use packets::PACKETS;
use sas::Side;

/// DPDK's fastest device for AES-GCM, in the core that asks it; also its name as a virtual device.
const DRIVER: &str = "crypto_aesni_gcm";
const OURS: &str = "Tollgate";
const CRYPTO_PERF: &str = "crypto-perf";
const SECGW: &str = "ipsec-secgw";

/// Packets of a length, and what is done to them.
struct Case {
    work: Work,
    /// Of an IP packet inside.
    bytes: usize,
    /// Which share of what crypto-perf does at least, where it is measured.
    of_crypto_perf: Option<f64>,
    with_secgw: bool,
}

const CASES: [Case; 8] = [
    Case::new(Work::Encrypt, 64, None, true),
    Case::new(Work::Encrypt, 512, Some(0.75), true),
    Case::new(Work::Encrypt, 1400, None, true),
    Case::new(Work::Encrypt, 1408, Some(0.7), false),
    Case::new(Work::Decrypt, 64, None, true),
    Case::new(Work::Decrypt, 512, Some(0.75), true),
    Case::new(Work::Decrypt, 1400, None, true),
    Case::new(Work::Decrypt, 1408, Some(0.7), false),
];
/// By what ipsec-secgw does, at least.
const OF_SECGW: Bound = Bound::AtLeast(1.1);
/// Tunnels with SAs of their own, where there are many.
const MANY: u32 = 1000;
/// Length of the packets that go into many tunnels.
const MANY_BYTES: usize = 512;
const BY_MANY: &str = "Tollgate: encrypt 512 bytes by 1,000 SAs";
/// The time for a packet is at most 1.15 times that by one SA.
const SHARE_OF_ONE: Bound = Bound::AtLeast(1.0 / 1.15);
/// SAs that are installed, and how many in a second.
const INSTALLED: u32 = 8192;
const FEWEST_INSTALLS: Bound = Bound::AtLeast(20_000.0);
const ONE_BY_ONE: &str = "installs, one by a request";
const BY_REQUESTS: &str = "installs, 64 by a request";
const FOR_TUNNELS: &str = "installs for tunnels that packets wait for, 64 by a request";

/// What is done to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Encrypt,
    Decrypt,
}

impl Work {
    fn side(self) -> Side {
        match self {
            Self::Encrypt => Side::Seals,
            Self::Decrypt => Side::Opens,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// The name of a series.
fn name(program: &str, work: Work, bytes: usize) -> String {
    format!("{program}: {} {bytes} bytes", work.word())
}

fn bits_per_second(packets_per_second: f64, bytes: usize) -> f64 {
    packets_per_second * bytes as f64 * 8.0
}

impl Bench {
    /// All programs take turns.
    pub(super) fn ipsec(&self) -> Result<Section, Error> {
        let mut section =
            Section::new("ESP of one worker, AES-GCM-256, by the length of IP packets inside of tunnels");
        let secgw = secgw::SECGW.provide();
        if let Err(why) = &secgw {
            say!("    {why}");
            section
                .remarks
                .push(format!("What is asked beside {SECGW} is not met: {why}"));
        }
        for case in &CASES {
            self.write_plain(case.bytes, 1)?;
            if case.work == Work::Decrypt {
                self.write_sealed(case.bytes)?;
            }
        }
        self.write_plain(MANY_BYTES, MANY)?;
        for round in 1..=self.times.rounds {
            self.progress("ESP", round);
            for case in &CASES {
                self.case(&mut section, case, secgw.as_deref().ok())?;
            }
            let gateway = Gateway {
                side: Side::Seals,
                bytes: MANY_BYTES,
                tunnels: MANY,
            };
            let rate = bits_per_second(self.esp_turn(gateway)?.rate, MANY_BYTES);
            section.record(BY_MANY, Unit::BitsPerSecond, rate);
            for (name, at_a_time) in [(ONE_BY_ONE, 1), (BY_REQUESTS, SAS_PER_REQUEST)] {
                section.record(name, Unit::InstallsPerSecond, self.installs(at_a_time)?);
            }
            let rate = self.installs_for(gateway, SAS_PER_REQUEST)?;
            section.record(FOR_TUNNELS, Unit::InstallsPerSecond, rate);
        }
        judge(&mut section);
        Ok(section)
    }

    /// A turn of each program.
    fn case(&self, section: &mut Section, case: &Case, secgw: Option<&Path>) -> Result<(), Error> {
        let Case { work, bytes, .. } = *case;
        let mut record =
            |program, rate| section.record(&name(program, work, bytes), Unit::BitsPerSecond, rate);
        let turn = self.esp_turn(Gateway::new(work.side(), bytes))?;
        record(OURS, bits_per_second(turn.rate, bytes));
        if case.of_crypto_perf.is_some() {
            record(CRYPTO_PERF, self.crypto_perf(work, bytes)?);
        }
        if let Some(program) = secgw.filter(|_| case.with_secgw) {
            let rate = self.secgw(program, work, bytes)?;
            record(SECGW, bits_per_second(rate, bytes));
        }
        Ok(())
    }

    /// SAs that a client installs in a second, of tunnels that have packets to seal.
    fn installs_for(&self, gateway: Gateway, at_a_time: usize) -> Result<f64, Error> {
        let took = self.esp_installs(gateway, at_a_time)?;
        Ok(f64::from(2 * gateway.tunnels) / took.as_secs_f64().max(1e-6))
    }

    /// SAs of no tunnel that a client installs in a second.
    fn installs(&self, at_a_time: usize) -> Result<f64, Error> {
        let limits = format!("[limits]\nsas = {INSTALLED}\n");
        let mut primary = self.idle_primary(Family::Four, &limits)?;
        let took = sas::install(self.privilege, &primary, Side::Alone, INSTALLED, at_a_time);
        primary.terminate()?;
        Ok(f64::from(INSTALLED) / took?.as_secs_f64().max(1e-6))
    }
}

impl Case {
    const fn new(work: Work, bytes: usize, of_crypto_perf: Option<f64>, with_secgw: bool) -> Self {
        Self {
            work,
            bytes,
            of_crypto_perf,
            with_secgw,
        }
    }
}

/// Asks of the series what is asked.
fn judge(section: &mut Section) {
    for case in &CASES {
        let of = |program| name(program, case.work, case.bytes);
        section.compare(
            &of(OURS),
            &of(CRYPTO_PERF),
            case.of_crypto_perf.map(Bound::AtLeast),
        );
        section.compare(&of(OURS), &of(SECGW), Some(OF_SECGW));
    }
    section.compare(
        BY_MANY,
        &name(OURS, Work::Encrypt, MANY_BYTES),
        Some(SHARE_OF_ONE),
    );
    section.judge(BY_REQUESTS, FEWEST_INSTALLS);
    section.judge(FOR_TUNNELS, FEWEST_INSTALLS);
    section.remarks.push(format!(
        "Each of the 1,000 SAs protects a tunnel of its own, with a route; {PACKETS} packets go into them in random order, and as many into \
         the one. crypto-perf gives its device nothing but cryptography to do. Installs are those of a client that waits for each answer; those for tunnels make a session of the crypto device each, and its worker has \
         packets to forward meanwhile."
    ));
}
