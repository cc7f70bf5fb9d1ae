//! Both ends of an SA.

use std::collections::BTreeMap;

use dpdk::crypto::{Direction, Job, Outcome, Session};
use dpdk::{Mbuf, Pool};
use esp::{
    Format, Header, Inbound, IvMask, Keys, OpenError, Opened, Opening, Outbound, ReplayError, SealError,
    Sequence, Spi, Transform, Window,
};
use packet::Protocol;
use primary::ipsec::{Crypto, fill_in};

use super::oracle::{Oracle, REMEMBERED};
use crate::random::Random;
use crate::wire::esp_open;

/// Packets of an SA that are opened at a time.
pub const BURST: usize = 32;

/// What an SA is like.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Its index.
    pub spi: Spi,
    /// How it protects.
    pub transform: Transform,
    /// Whether numbers have 64 bits.
    pub esn: bool,
    /// Packets that may be late.
    pub window: u16,
    /// The last number that was used before.
    pub last: u64,
}

/// An SA: the end that sends, the end that receives, and the oracle beside the latter.
pub struct Sa {
    outbound: Outbound,
    seal: Session,
    inbound: Inbound,
    open: Session,
    oracle: Oracle,
    first: u64,
}

/// Does what must not fail in a test.
#[track_caller]
fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

impl Sa {
    /// An SA with random keys, whose sessions `crypto` makes as for a worker.
    pub fn new(crypto: &mut Crypto<'_>, settings: Settings, random: &mut Random) -> Self {
        let Settings {
            spi,
            transform,
            esn,
            window,
            last,
        } = settings;
        let bytes: Vec<u8> = (0..transform.key_len()).map(|_| random.byte()).collect();
        let keys = must(Keys::new(transform, bytes.into()));
        let format = Format::new(transform, esn);
        must(crypto.prepare(transform));
        let session = |direction| must(crypto.session(&keys.parts(), format, direction));
        let window = must(Window::resumed(window, esn, last));
        let sequence = Sequence::resumed(esn, last);
        Self {
            seal: session(Direction::Seal),
            open: session(Direction::Open),
            oracle: Oracle::new(format, window.size(), last),
            outbound: Outbound::new(spi, &keys.parts(), sequence, IvMask(random.bits())),
            inbound: Inbound::new(spi, &keys.parts(), window),
            first: last + 1,
        }
    }

    /// Its index.
    pub fn spi(&self) -> u32 {
        self.inbound.spi().get()
    }

    /// How its packets are laid out.
    pub fn format(&self) -> Format {
        self.inbound.format()
    }

    /// Numbers that are left to send by.
    pub fn left(&self) -> u64 {
        self.outbound.sequence().left()
    }

    /// Whether good packets have come whose numbers lie on both sides of a multiple of 2^32.
    pub fn has_crossed(&self) -> bool {
        self.first >> 32 != self.oracle.highest() >> 32 && self.format().esn()
    }

    /// Seals a payload; now and then its trailer is not what it should be. `None` when all numbers are used up.
    pub fn seal(
        &mut self,
        pool: &Pool,
        payload: &[u8],
        next_header: Protocol,
        random: &mut Random,
    ) -> Option<u64> {
        let sealing = match self.outbound.seal(payload.len(), next_header) {
            Ok(sealing) => sealing,
            Err(SealError::SequenceEnded(_)) => {
                let end = if self.format().esn() {
                    u64::MAX
                } else {
                    u32::MAX.into()
                };
                assert_eq!(self.outbound.sequence().last(), end);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let room = [0; 64];
        let mut mbuf = mbuf(pool, &room[..sealing.head_len()]);
        must(mbuf.append(payload));
        must(mbuf.append(&room[..sealing.tail_len()]));
        let work = must(sealing.write(mbuf.data_mut()));
        let end = sealing.sealed_len() - self.format().icv_len();
        let behind = sealing.head_len() + payload.len();
        if random.one_in(8) {
            let at = behind + random.below(end - behind);
            mbuf.data_mut()[at] = *random.one_of(&[0, 1, 3, 59, 0xff]);
        }
        let clear = mbuf.data()[..end].to_vec();
        let mut burst = [mbuf];
        let mut jobs = [Job::default()];
        fill_in(&mut jobs[0], 0, 0, &work);
        assert_eq!(self.seal.process(&mut burst, &mut jobs), 1);
        let [mbuf] = &mut burst;
        let len = must(sealing.finish(mbuf.data_mut()));
        let number = sealing.sequence().get();
        self.oracle.sealed(number, &mbuf.data()[..len], &clear);
        Some(number)
    }

    /// A packet that was sealed: the last one, one that is a little late, or any that is remembered.
    pub fn sent(&self, random: &mut Random) -> Option<&[u8]> {
        let last = self.outbound.sequence().last();
        let behind = match random.below(16) {
            0 => random.below(REMEMBERED),
            1..4 => random.below(80),
            4..6 => random.below(4),
            _ => 0,
        };
        self.oracle.packet(last.checked_sub(behind as u64)?)
    }

    /// Opens packets with this SPI, at most [`BURST`], beside the oracle; notes how often each end was seen.
    pub fn receive(
        &mut self,
        pool: &Pool,
        packets: &[Vec<u8>],
        class: u8,
        seen: &mut BTreeMap<&'static str, u64>,
    ) {
        let mut mbufs = Vec::with_capacity(BURST);
        let mut jobs = [Job::default(); BURST];
        let mut openings: Vec<(Opening, u64, &[u8])> = Vec::with_capacity(BURST);
        for packet in packets {
            let mut mbuf = mbuf(pool, packet);
            let header = must(Header::parse(packet));
            let opened = self.inbound.open(header, packet.len());
            let expected = self.oracle.check(packet);
            assert_eq!(
                opened.map(|opening| opening.sequence().get()),
                expected,
                "{packet:02x?}"
            );
            match (opened, expected) {
                (Ok(opening), Ok(number)) => {
                    must(mbuf.append(&[0xee; 8][..self.inbound.format().spare_len()]));
                    let work = must(self.inbound.prepare(&opening, mbuf.data_mut()));
                    fill_in(&mut jobs[openings.len()], openings.len(), 0, &work);
                    openings.push((opening, number, packet));
                    mbufs.push(mbuf);
                }
                (Err(error), _) | (_, Err(error)) => *seen.entry(name(Err(error))).or_default() += 1,
            }
        }
        self.open.process(&mut mbufs, &mut jobs[..openings.len()]);
        for ((mbuf, job), (opening, number, packet)) in mbufs.iter_mut().zip(&jobs).zip(openings) {
            assert!(
                matches!(job.outcome, Outcome::Done | Outcome::BadDigest),
                "{:?}",
                job.outcome
            );
            let authentic = job.outcome == Outcome::Done;
            let opened = self.inbound.finish(opening, authentic, mbuf.data());
            assert_eq!(opened, self.oracle.finish(number, packet), "{packet:02x?}");
            *seen.entry(name(opened)).or_default() += 1;
            if let Ok(Opened::Packet(payload)) = opened {
                let place = payload.span.range();
                assert_eq!(mbuf.data()[place.clone()], self.oracle.clear(number)[place]);
                if matches!(payload.next_header.0, 4 | 41) {
                    esp_open::tunnel(mbuf.data_mut(), &payload, class);
                }
            }
        }
        assert_eq!(self.inbound.window().highest(), self.oracle.highest());
    }
}

fn mbuf(pool: &Pool, bytes: &[u8]) -> Mbuf {
    let Some(mut mbuf) = pool.alloc() else {
        panic!("all {} buffers are in use: some are lost", pool.capacity());
    };
    must(mbuf.append(bytes));
    mbuf
}

fn name(opened: Result<Opened, OpenError>) -> &'static str {
    match opened {
        Ok(Opened::Packet(_)) => "opened",
        Ok(Opened::Dummy) => "dummy",
        Err(OpenError::Length(_)) => "length",
        Err(OpenError::Replay(ReplayError::TooOld)) => "too old",
        Err(OpenError::Replay(ReplayError::Replayed)) => "replayed",
        Err(OpenError::Forged) => "forged",
        Err(OpenError::Padding) => "padding",
        Err(OpenError::NoRoom(error)) => panic!("{error}"),
    }
}
