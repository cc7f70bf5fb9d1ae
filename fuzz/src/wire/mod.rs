//! The wire formats of lib/packet, ESP, IKEv2, its exchanges, certificates and what outlives its daemon, reassembly, tunnels, router alerts, helpers and the load balancer, each beside a reading of its own.

pub mod balance;
pub mod certificate;
pub mod esp_open;
pub mod helper;
pub mod icmp_error;
pub mod ike;
pub mod ike_engine;
pub mod ike_restore;
pub mod ipv4;
pub mod ipv6;
pub mod link;
pub mod reassembly;
pub mod router_alert;
pub mod tunnel;

/// It was seen that this cannot fail.
fn sure<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

/// Two bytes, the most significant first.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from(bytes[at]) << 8 | u16::from(bytes[at + 1])
}

/// Whether the ones' complement sum over the words, with `start`, is all ones: RFC 1071.
fn sums_up(start: u64, bytes: &[u8]) -> bool {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or_default());
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}
