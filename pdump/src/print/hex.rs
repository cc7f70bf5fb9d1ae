//! The bytes of a packet below its line, as tcpdump's `-x` and `-X` have them.

use std::fmt::{self, Write};

/// Bytes on a line.
const ROW: usize = 16;

/// What is shown of a packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// The link header too.
    pub link: bool,
    /// As characters too, those that are printable.
    pub characters: bool,
}

impl Dump {
    /// Writes a frame's bytes, each row on a line of its own that begins with a line's end.
    pub(super) fn put(self, to: &mut String, frame: &[u8], link_length: usize) -> fmt::Result {
        let from = if self.link { 0 } else { link_length };
        let bytes = frame.get(from..).unwrap_or_default();
        for (row, bytes) in bytes.chunks(ROW).enumerate() {
            write!(to, "\n\t{:#06x}: ", row * ROW)?;
            for pair in bytes.chunks(2) {
                to.push(' ');
                for byte in pair {
                    write!(to, "{byte:02x}")?;
                }
            }
            if self.characters {
                // Two digits for a byte, a space for two of them.
                let missing = (ROW - bytes.len()) * 2 + (ROW - bytes.len()) / 2;
                write!(to, "{:missing$}  ", "")?;
                to.extend(bytes.iter().map(|byte| match byte {
                    b'!'..=b'~' => char::from(*byte),
                    _ => '.',
                }));
            }
        }
        Ok(())
    }
}

/// Bytes as digits, two each.
pub(super) fn digits(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A string takes everything.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
