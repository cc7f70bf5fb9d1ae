//! ICMP errors about translated packets: whoever gets one finds the packet that it sent itself quoted in it.

use crate::rewrite::{Ends, Sequence};
use crate::view::{Quoted, View};

/// Translates an error from the server's side about a packet to the server (REQ-ICMP-3). The MTU of a "too big" is lowered by
/// `added` bytes, what the gateway adds to the client's packets (REQ-ICMP-18). `false`, and nothing is changed, if the bytes are not
/// those looked at.
pub fn error_to_client(
    _bytes: &mut [u8],
    _view: &View,
    _quoted: &Quoted,
    _ends: &Ends,
    _sequence: &Sequence,
    _added: u16,
) -> bool {
    false
}

/// Translates an error from the client's side about a packet to the client (REQ-ICMP-4). `false`, and nothing is changed, if the
/// bytes are not those looked at.
pub fn error_to_server(
    _bytes: &mut [u8],
    _view: &View,
    _quoted: &Quoted,
    _ends: &Ends,
    _sequence: &Sequence,
) -> bool {
    false
}
