//! Batches of records, one behind the other.
//!
//! ```text
//!   batch    │ "TGIK" │ version, 1 │ 1: what is before it is void │ length, 4 │ entries │ check, 8 │
//!   entry    │ our SPI of the IKE SA, 8 │ length, 4; 0: it is gone │ record │
//! ```
//!
//! The check is a sum over all before it. It is there for batches that were cut off, not against anybody: who can write here has the keys.

use std::collections::BTreeMap;

use ikev2::crypto::Secret;
use ikev2::wire::IkeSpi;

const MAGIC: &[u8; 4] = b"TGIK";
/// Another one when records change: what is of another version is not read.
const VERSION: u8 = 3;
const HEADER: usize = 10;
const CHECK: usize = 8;
const ENTRY: usize = 12;

/// FNV-1a.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step).to_be_bytes()
}

/// A batch of these, in memory that is taken once, so that no copy of it is left behind.
pub(super) fn batch(alone: bool, entries: &[(IkeSpi, Option<Secret>)]) -> Secret {
    let len = |record: &Option<Secret>| record.as_ref().map_or(0, Secret::len);
    let body: usize = entries.iter().map(|(_, record)| ENTRY + len(record)).sum();
    let mut out = Vec::with_capacity(HEADER + body + CHECK);
    out.extend(MAGIC);
    out.extend([VERSION, u8::from(alone)]);
    // 10,000 IKE SAs with ten child SAs have some 50 million bytes.
    out.extend((body as u32).to_be_bytes());
    for (ike, record) in entries {
        out.extend(ike.0);
        out.extend((len(record) as u32).to_be_bytes());
        out.extend(record.as_ref().map_or(&[][..], Secret::expose));
    }
    let check = check(&out);
    out.extend(check);
    Secret::from(out)
}

/// What batches say all together.
pub(super) struct Replay<'a> {
    pub(super) records: BTreeMap<IkeSpi, &'a [u8]>,
    pub(super) ignored: usize,
}

/// Reads batches up to the first that is not whole.
pub(super) fn replay(mut bytes: &[u8]) -> Replay<'_> {
    let mut records = BTreeMap::new();
    while let Some((alone, mut body, behind)) = whole(bytes) {
        if alone {
            records.clear();
        }
        while let Some((ike, record, rest)) = entry(body) {
            match record.is_empty() {
                true => records.remove(&ike),
                false => records.insert(ike, record),
            };
            body = rest;
        }
        bytes = behind;
    }
    Replay {
        records,
        ignored: bytes.len(),
    }
}

fn whole(bytes: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (header, behind) = bytes.split_first_chunk::<HEADER>()?;
    let [m0, m1, m2, m3, version, alone, l0, l1, l2, l3] = *header;
    if [m0, m1, m2, m3] != *MAGIC || version != VERSION || alone > 1 {
        return None;
    }
    let len = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?;
    let (body, behind) = behind.split_at_checked(len)?;
    let (sum, behind) = behind.split_first_chunk::<CHECK>()?;
    let covered = bytes.get(..HEADER + len)?;
    (check(covered) == *sum).then_some((alone == 1, body, behind))
}

fn entry(bytes: &[u8]) -> Option<(IkeSpi, &[u8], &[u8])> {
    let (ike, bytes) = bytes.split_first_chunk::<8>()?;
    let (len, bytes) = bytes.split_first_chunk::<4>()?;
    let (record, rest) = bytes.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((IkeSpi(*ike), record, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(ike: u8, record: &[u8]) -> (IkeSpi, Option<Secret>) {
        (IkeSpi([ike; 8]), Some(Secret::from(record.to_vec())))
    }

    #[test]
    fn the_last_of_each_counts_and_a_batch_may_stand_alone() {
        let first = batch(false, &[some(1, b"a"), some(2, b"b")]);
        let second = batch(false, &[some(1, b"c"), (IkeSpi([2; 8]), None)]);
        let alone = batch(true, &[some(3, b"d")]);
        let all = [first.expose(), second.expose()].concat();
        let found = replay(&all);
        assert_eq!(found.records, BTreeMap::from([(IkeSpi([1; 8]), &b"c"[..])]));
        assert_eq!(found.ignored, 0);
        let all = [first.expose(), alone.expose()].concat();
        assert_eq!(
            replay(&all).records,
            BTreeMap::from([(IkeSpi([3; 8]), &b"d"[..])])
        );
    }

    #[test]
    fn a_batch_that_was_cut_off_or_damaged_was_never_there() {
        let first = batch(false, &[some(1, b"record")]);
        let second = batch(false, &[(IkeSpi([1; 8]), None), some(2, b"record")]);
        for len in 0..second.len() {
            let all = [first.expose(), &second.expose()[..len]].concat();
            let found = replay(&all);
            assert_eq!(
                found.records,
                BTreeMap::from([(IkeSpi([1; 8]), &b"record"[..])]),
                "{len}"
            );
            assert_eq!(found.ignored, len);
        }
        for at in 0..first.len() {
            let mut damaged = first.expose().to_vec();
            damaged[at] ^= 0x40;
            assert!(replay(&damaged).records.is_empty(), "{at}");
        }
    }
}
