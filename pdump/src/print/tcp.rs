//! TCP (RFC 9293) and its options.

use super::bytes::Bytes;
use super::line::{Line, put};
use super::upper::{Ends, put_ports};

const HEADER_LEN: usize = 20;
const FLAGS: [(u8, char); 8] = [
    (0x01, 'F'),
    (0x02, 'S'),
    (0x04, 'R'),
    (0x08, 'P'),
    (0x10, '.'),
    (0x20, 'U'),
    (0x40, 'E'),
    (0x80, 'W'),
];

/// Describes a segment, its sequence numbers as they are.
pub(super) fn tell(line: &mut Line, segment: Bytes<'_>, ends: Option<&Ends>) -> Option<()> {
    put_ports(line, segment, ends)?;
    let header_length = usize::from(segment.u8(12)? >> 4) * 4;
    if header_length < HEADER_LEN {
        put!(
            line,
            "tcp [bad hdr length {header_length} - too short, < {HEADER_LEN}]"
        );
        return Some(());
    }
    let Some(length) = segment.len().checked_sub(header_length) else {
        put!(
            line,
            "tcp [bad hdr length {header_length} - too long, > {}]",
            segment.len()
        );
        return Some(());
    };
    let flags = segment.u8(13)?;
    let (sequence, acknowledgment) = (segment.u32(4)?, segment.u32(8)?);
    let (window, urgent) = (segment.u16(14)?, segment.u16(18)?);
    put!(line, "Flags [");
    if flags == 0 {
        put!(line, "none");
    }
    for (flag, letter) in FLAGS {
        if flags & flag != 0 {
            put!(line, "{letter}");
        }
    }
    put!(line, "]");
    // FIN, SYN and RST are about a place in the sequence, as data is.
    if length > 0 || flags & 0x07 != 0 {
        put!(line, ", seq {sequence}");
        if length > 0 {
            put!(line, ":{}", sequence.wrapping_add(length as u32));
        }
    }
    if flags & 0x10 != 0 {
        put!(line, ", ack {acknowledgment}");
    }
    put!(line, ", win {window}");
    if flags & 0x20 != 0 {
        put!(line, ", urg {urgent}");
    }
    if header_length > HEADER_LEN {
        put!(line, ", options [");
        if options(line, segment.take(header_length).skip(HEADER_LEN)).is_none() {
            line.cut("tcp");
        }
        put!(line, "]");
    }
    put!(line, ", length {length}");
    Some(())
}

/// `None`: they are not all there, or do not fit.
fn options(line: &mut Line, mut options: Bytes<'_>) -> Option<()> {
    let mut separator = "";
    while options.len() > 0 {
        let kind = options.u8(0)?;
        put!(line, "{separator}");
        separator = ",";
        let length = match kind {
            0 | 1 => 1,
            _ => usize::from(options.u8(1)?),
        };
        match (kind, length) {
            (0, _) => {
                put!(line, "eol");
                return Some(());
            }
            (1, _) => put!(line, "nop"),
            (_, 0 | 1) => return None,
            (2, 4) => put!(line, "mss {}", options.u16(2)?),
            (3, 3) => put!(line, "wscale {}", options.u8(2)?),
            (4, 2) => put!(line, "sackOK"),
            (5, _) => selective(line, options.take(length).skip(2))?,
            (8, 10) => put!(line, "TS val {} ecr {}", options.u32(2)?, options.u32(6)?),
            _ => {
                put!(line, "unknown-{kind}");
                for at in 2..length {
                    put!(
                        line,
                        "{}{:02x}",
                        if at == 2 { " 0x" } else { "" },
                        options.u8(at)?
                    );
                }
            }
        }
        options = options.skip(length);
    }
    Some(())
}

/// RFC 2018 section 3.
fn selective(line: &mut Line, blocks: Bytes<'_>) -> Option<()> {
    put!(line, "sack {} ", blocks.len() / 8);
    for block in 0..blocks.len() / 8 {
        put!(
            line,
            "{{{}:{}}}",
            blocks.u32(block * 8)?,
            blocks.u32(block * 8 + 4)?
        );
    }
    Some(())
}
