//! Programs for captures: what [`harden`] lets through ends, stays within the program, and is the filter that was asked
//! for. An interpreter of classic BPF (McCanne, Jacobson 1993) is the judge.

use dpdk::filter::{Instruction, MOST_INSTRUCTIONS, harden};

use crate::gateway::packets;

/// Operations that libpcap uses, so that random bytes come to something.
const OPERATIONS: [u16; 40] = [
    0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x04, 0x0c,
    0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x84, 0x94, 0x05, 0x15,
    0x1d, 0x25, 0x35, 0x45, 0x06, 0x16,
];
/// Moves between the two registers: not among the operations above, which are one byte of input each.
const MOVES: [u16; 2] = [0x07, 0x87];

/// A byte for how many instructions, eight bytes each, then a packet.
pub fn seeds() -> Vec<Vec<u8>> {
    // ip and udp port 500, as libpcap writes it, by the places of its operations above.
    let program = [
        [2, 0, 0, 0, 0, 0, 0, 12],
        [33, 0, 8, 0, 0, 0, 8, 0],
        [3, 0, 0, 0, 0, 0, 0, 23],
        [33, 0, 6, 0, 0, 0, 0, 17],
        [2, 0, 0, 0, 0, 0, 0, 20],
        [37, 4, 0, 0, 0, 0, 31, 255],
        [12, 0, 0, 0, 0, 0, 0, 14],
        [5, 0, 0, 0, 0, 0, 0, 16],
        [33, 0, 1, 0, 0, 0, 1, 244],
        [38, 0, 0, 0, 0, 4, 0, 0],
        [38, 0, 0, 0, 0, 0, 0, 0],
    ];
    let head = [&[program.len() as u8][..], program.as_flattened()].concat();
    let frames = packets::frames(0).into_iter().step_by(7);
    frames.map(|frame| [&head[..], &frame].concat()).collect()
}

/// Hardens a program, and runs both on a packet.
pub fn body(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else {
        return;
    };
    let (records, _) = rest.as_chunks::<8>();
    let count = usize::from(*count).min(records.len());
    let program: Vec<_> = records[..count].iter().map(instruction).collect();
    let packet = &rest[count * 8..];
    let Ok(hardened) = harden(&program) else {
        return;
    };
    assert!((1..=MOST_INSTRUCTIONS).contains(&hardened.len()));
    assert_eq!(harden_again(&hardened), Ok(()), "what DPDK gets is no program");
    let asked = run(&program, packet);
    assert!(asked.is_some(), "a program was let through that does not end");
    assert_eq!(
        asked.map(|matched| matched != 0),
        run(&hardened, packet).map(|matched| matched != 0)
    );
}

/// What is hardened would be let through, except that it may have become too long for that.
fn harden_again(hardened: &[Instruction]) -> Result<(), String> {
    use dpdk::filter::BadProgram::{Distance, Length, Paths};
    match harden(hardened) {
        Ok(_) | Err(Distance { .. } | Length(_) | Paths) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn instruction(record: &[u8; 8]) -> Instruction {
    let &[code, jt, jf, raw, a, b, c, d] = record;
    let place = usize::from(code);
    let code = match OPERATIONS.get(place) {
        Some(code) => *code,
        None if raw == 0 => MOVES[place % 2],
        None => u16::from(code) | u16::from(raw & 1) << 8,
    };
    let k = u32::from_be_bytes([a, b, c, d]);
    Instruction { code, jt, jf, k }
}

/// The interpreter; `None` where the program leaves itself or does what cannot be.
fn run(program: &[Instruction], packet: &[u8]) -> Option<u32> {
    let (mut a, mut x, mut scratch) = (0u32, 0u32, [0u32; 16]);
    let mut at = 0;
    let load = |offset: u64, size: u64| -> Option<u32> {
        let first = usize::try_from(offset).ok()?;
        let bytes = packet.get(first..first + size as usize)?;
        Some(bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    };
    // Jumps go forward, so that this is longer than any run.
    for _ in 0..=program.len() {
        let Instruction { code, jt, jf, k } = *program.get(at)?;
        at += 1;
        let operand = if code & 8 == 0 { k } else { x };
        let size = match code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        match code & 7 {
            0 | 1 if code & 0xe0 == 0x20 || code & 0xe0 == 0x40 => {
                let base = if code & 0xe0 == 0x40 { u64::from(x) } else { 0 };
                // Beyond the packet nothing matches.
                let Some(value) = load(base + u64::from(k), size) else {
                    return Some(0);
                };
                a = value;
            }
            0 => a = immediate(code, k, &scratch, packet)?,
            1 if code & 0xe0 == 0xa0 => {
                let Some(value) = load(k.into(), 1) else {
                    return Some(0);
                };
                x = (value & 15) * 4;
            }
            1 => x = immediate(code, k, &scratch, packet)?,
            2 => *scratch.get_mut(k as usize)? = a,
            3 => *scratch.get_mut(k as usize)? = x,
            4 => match arithmetic(code & 0xf0, a, operand)? {
                Some(value) => a = value,
                None => return Some(0),
            },
            5 => {
                let far = match code & 0xf0 {
                    0x00 => k as usize,
                    0x10 => usize::from(if a == operand { jt } else { jf }),
                    0x20 => usize::from(if a > operand { jt } else { jf }),
                    0x30 => usize::from(if a >= operand { jt } else { jf }),
                    0x40 => usize::from(if a & operand != 0 { jt } else { jf }),
                    _ => return None,
                };
                at += far;
            }
            6 => return Some(if code & 0x18 == 0x10 { a } else { k }),
            _ if code & 0xf8 == 0x80 => a = x,
            _ => x = a,
        }
    }
    None
}

fn immediate(code: u16, k: u32, scratch: &[u32; 16], packet: &[u8]) -> Option<u32> {
    match code & 0xe0 {
        0x00 => Some(k),
        0x60 => scratch.get(k as usize).copied(),
        0x80 => u32::try_from(packet.len()).ok(),
        _ => None,
    }
}

/// `Some(None)` for a division by zero, which ends the program without a match.
fn arithmetic(operation: u16, a: u32, operand: u32) -> Option<Option<u32>> {
    Some(match operation {
        0x00 => Some(a.wrapping_add(operand)),
        0x10 => Some(a.wrapping_sub(operand)),
        0x20 => Some(a.wrapping_mul(operand)),
        0x30 => a.checked_div(operand),
        0x40 => Some(a | operand),
        0x50 => Some(a & operand),
        // Both programs shift alike by 32 and more, whatever that gives.
        0x60 => Some(a.checked_shl(operand).unwrap_or(0)),
        0x70 => Some(a.checked_shr(operand).unwrap_or(0)),
        0x80 => Some(a.wrapping_neg()),
        0x90 => a.checked_rem(operand),
        0xa0 => Some(a ^ operand),
        _ => return None,
    })
}
