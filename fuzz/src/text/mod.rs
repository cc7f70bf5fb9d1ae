//! What tools, operators and people read and write.

pub mod config;
pub mod control;
pub mod routes;
pub mod services;

use pdump::print::summary;

/// A packet, whole or cut short, is described in one line of printable characters.
pub fn print(frame: &[u8]) {
    for wire_length in [frame.len() as u32, 0, 1514, u32::MAX] {
        let line = summary(frame, wire_length);
        assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
    }
}
