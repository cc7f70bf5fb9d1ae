//! One packet's part in a burst.

use super::transform::Shape;

/// What a session is to do with one packet. Places are bytes from the start of the packet's first segment, in which
/// all of them lie.
///
/// ```text
///   AEAD   │ headers │ IV │▓▓▓▓▓▓▓ text ▓▓▓▓▓▓▓▓▓▓│ digest │
///                         start                   end = digest
///
///   chain  │ headers │░░░░ head ░░│▓▓ enciphered ▓▓│░ tail ░│ digest │
///                    start        (authenticated)           end
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Job {
    /// The packet's index among those that are handed over with the jobs.
    pub packet: u16,
    /// Where the text begins: what an AEAD enciphers, what a chain authenticates.
    pub start: u16,
    /// Where it ends.
    pub end: u16,
    /// Where the digest is, or is written to.
    pub digest: u16,
    /// The nonce of an AEAD in its first 12 bytes, the initialisation vector of AES-CBC; otherwise not looked at.
    pub iv: [u8; 16],
    /// An AEAD's additional authenticated data, as many bytes of it as the session takes.
    pub aad: [u8; 16],
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Outcome {
    /// Nothing has been done yet.
    #[default]
    Waiting,
    /// The packet is sealed, or it is genuine and opened.
    Done,
    /// The digest is not that of the packet: it is not genuine, or by another key. Its text is of no meaning any more.
    BadDigest,
    /// The job is not of the session's kind, its places are not all in the packet's first segment, or the device did
    /// not take it.
    Refused,
}

impl Shape {
    /// True if the session can do the job in a segment of `len` bytes.
    #[inline(always)]
    pub(super) fn admits(&self, job: &Job, len: usize) -> bool {
        let [start, end, digest] = [job.start, job.end, job.digest].map(usize::from);
        let clear = usize::from(self.head) + usize::from(self.tail);
        end <= len
            && digest + usize::from(self.digest_len) <= len
            && end > start + clear
            && (end - start - clear) & (usize::from(self.block) - 1) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CBC: Shape = Shape {
        aead: false,
        head: 24,
        tail: 4,
        block: 16,
        digest_len: 16,
    };

    fn job(start: u16, end: u16, digest: u16) -> Job {
        Job {
            start,
            end,
            digest,
            ..Job::default()
        }
    }

    #[test]
    fn a_job_stays_within_its_packet() {
        let good = job(34, 34 + 24 + 32 + 4, 94);
        assert!(CBC.admits(&good, 110));
        assert!(!CBC.admits(&good, 109));
        for (start, end, digest) in [
            (34, 94, 95),
            (94, 34, 0),
            (34, 111, 0),
            (u16::MAX, u16::MAX, 0),
            (0, u16::MAX, 0),
            (34, 94, u16::MAX),
        ] {
            assert!(
                !CBC.admits(&job(start, end, digest), 110),
                "{start} {end} {digest}"
            );
        }
    }

    #[test]
    fn a_block_cipher_takes_whole_blocks_and_at_least_one() {
        for (text, good) in [(0, false), (15, false), (16, true), (17, false), (32, true)] {
            assert_eq!(CBC.admits(&job(0, 28 + text, 80), 110), good, "{text}");
        }
        let aead = Shape {
            aead: true,
            head: 0,
            tail: 0,
            block: 1,
            digest_len: 16,
        };
        for (text, good) in [(0, false), (1, true), (15, true)] {
            assert_eq!(aead.admits(&job(0, text, 80), 110), good, "{text}");
        }
    }
}
