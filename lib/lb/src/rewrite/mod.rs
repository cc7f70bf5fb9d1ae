//! Translating a packet: addresses, ports and identifiers of one side into those of the other, checksums changed by the
//! difference (RFC 1624).
//!
//! ```text
//!   client:port ─► service:port     to_server ─►     local:port ─► server:port
//!   client:port ◄─ service:port     ◄─ to_client     local:port ◄─ server:port
//! ```

use crate::{Buffer, View};

/// The four ends of a Full-NAT connection. IPv4 addresses are mapped. For ICMP queries the client's and the local port are
/// identifiers, the other two 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// All addresses are IPv6.
    pub six: bool,
    /// Address of the client.
    pub client: u128,
    /// Port of the client.
    pub client_port: u16,
    /// Address of the service.
    pub service: u128,
    /// Port of the service.
    pub service_port: u16,
    /// The gateway's address towards the server.
    pub local: u128,
    /// The gateway's port towards the server.
    pub local_port: u16,
    /// Address of the server.
    pub server: u128,
    /// Port of the server.
    pub server_port: u16,
}

/// How the numbers of a TCP connection are changed. The server sees an initial sequence number of the gateway's choice, since
/// all clients come from the same local addresses: what it remembers of an ended connection has nothing to do with the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Is added to the client's sequence numbers, and taken from what the server acknowledges.
    pub in_delta: u32,
    /// What the client acknowledges while it has had nothing but the server's SYN. 0: there has been no SYN of the server.
    pub first_ack: u32,
}

impl Sequence {
    /// Of a connection whose SYN has the number `client`, and `server` towards the server.
    pub const fn new(client: u32, server: u32) -> Sequence {
        Sequence {
            in_delta: server.wrapping_sub(client),
            first_ack: 0,
        }
    }

    /// Remembers what the server's SYN says. To be called for each SYN with ACK of the server; others change nothing.
    pub fn answered(&mut self, _view: &View) {}

    /// Whether a client's segment carries its address to the server: a SYN, and what acknowledges no more than the server's SYN.
    pub fn carries_address(&self, _view: &View) -> bool {
        false
    }
}

/// Translates a client's TCP segment, UDP datagram or ICMP query. `false`, and nothing is changed, if the bytes are not those
/// looked at.
pub fn to_server(_bytes: &mut [u8], _view: &View, _ends: &Ends, _sequence: &Sequence) -> bool {
    false
}

/// Translates a server's TCP segment (SACK blocks too), UDP datagram or ICMP reply. `false`, and nothing is changed, if the
/// bytes are not those looked at.
pub fn to_client(_bytes: &mut [u8], _view: &View, _ends: &Ends, _sequence: &Sequence) -> bool {
    false
}

/// Puts the client's address into a TCP segment, as the first of its options (kind 254), unless the options have no room, the
/// packet would have more than `mtu` bytes, or the buffer has no room. Before or after [`to_server`]; the view is brought up to date.
pub fn insert_toa<B: Buffer>(_frame: &mut B, _view: &mut View, _ends: &Ends, _mtu: u16) -> bool {
    false
}

/// Lowers the MSS that a SYN offers by `lower_by` bytes: [`toa_len`] where TOA is inserted. `false` if it offers none.
pub fn clamp_mss(_bytes: &mut [u8], _view: &View, _lower_by: u16) -> bool {
    false
}

/// Bytes of the option that carries the client's address: 8 or 20.
pub const fn toa_len(six: bool) -> u16 {
    if six { 20 } else { 8 }
}

/// Takes the timestamps option out of a client's SYN (no-operations take its place): to the server all clients are one host, whose
/// clock would jump. `false` if there is none.
pub fn remove_timestamps(_bytes: &mut [u8], _view: &View) -> bool {
    false
}
