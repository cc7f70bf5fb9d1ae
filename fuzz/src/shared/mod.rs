//! Memory that another process writes. Input is what to change in memory that was right: an offset and eight bytes each.

pub mod attachment;
pub mod discovery;
pub mod tables;
pub mod verdicts;

/// Bytes of one change.
const PATCH: usize = 11;

/// No change, and some.
pub fn patches() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    // Each word of a header once.
    for word in 0..=40u8 {
        for value in [0, 1, u64::MAX] {
            let mut patch = vec![0, 0, word];
            patch.extend(u64::to_le_bytes(value));
            seeds.push(patch);
        }
    }
    seeds
}

/// `memory` with the changes that `bytes` say.
fn patched(memory: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut memory = memory.to_vec();
    let (patches, _) = bytes.as_chunks::<PATCH>();
    for [which, high, low, value @ ..] in patches {
        // Words of four and of eight bytes, from the start or from further on.
        let size = if which & 1 == 0 { 8 } else { 4 };
        let at = usize::from(u16::from_be_bytes([*high, *low])) * size % memory.len().max(1);
        if let Some(word) = memory.get_mut(at..at + size) {
            word.copy_from_slice(&value[..size]);
        }
    }
    memory
}
