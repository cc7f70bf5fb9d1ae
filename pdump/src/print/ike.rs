//! The header of IKE messages (RFC 7296 section 3.1). What is behind it is encrypted.

use super::bytes::Bytes;
use super::line::{Line, note, put};

/// Describes a message.
pub(super) fn tell(line: &mut Line, message: Bytes<'_>) {
    put!(line, "isakmp");
    if told(line, message).is_none() {
        line.cut("isakmp");
    }
}

fn told(line: &mut Line, message: Bytes<'_>) -> Option<()> {
    if message.len() == 1 && message.u8(0)? == 0xff {
        put!(line, "-nat-keep-alive");
        return Some(());
    }
    let version = message.u8(17)?;
    let (exchange, flags) = (message.u8(18)?, message.u8(19)?);
    let (id, length) = (message.u32(20)?, message.u32(24)?);
    put!(line, ": ");
    if version >> 4 != 2 {
        put!(
            line,
            "version {}.{}, exchange {exchange}",
            version >> 4,
            version & 0x0f
        );
    } else {
        put!(line, "{} ", if id == 0 { "parent_sa" } else { "child_sa " });
        match exchange {
            34 => put!(line, "ikev2_init"),
            35 => put!(line, "ikev2_auth"),
            36 => put!(line, "child_sa"),
            37 => put!(line, "inf2"),
            other => put!(line, "#{other}"),
        }
        // Initiator, and response.
        let initiator = if flags & 0x08 == 0 { "" } else { "I" };
        let response = if flags & 0x20 == 0 { "" } else { "R" };
        put!(line, "[{initiator}{response}]");
    }
    note!(line, "message id {id}");
    if u64::from(length) != message.len() as u64 {
        note!(line, "length {length} of {}", message.len());
    }
    Some(())
}
