//! A Linux kernel at the other end of tunnels, in a virtual machine: `cargo xtask test --vm`.
//!
//! Elsewhere in these tests tunnels end at another gateway of this suite, or at scapy. Here it is XFRM, GRE and IP in IP of a kernel, which
//! has no word in common with either. It boots once, for all of it, which takes two minutes on two CPUs without KVM.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod esp;
mod peer;
mod sas;
mod tunnels;

use std::time::Instant;

use peer::Peer;

#[test]
#[ignore = "boots a virtual machine: cargo xtask test --vm"]
fn a_kernel_and_a_gateway_understand_each_other_through_esp_gre_and_ip_in_ip() {
    let began = Instant::now();
    let peer = Peer::start();
    println!("it is up: {:?}", began.elapsed());
    for (what, case) in [
        ("GRE and IP in IP", tunnels::carry_packets as fn(&Peer)),
        (
            "GRE and IP in IP in transport mode",
            tunnels::carry_packets_in_transport_mode,
        ),
        ("every transform", esp::every_transform),
        ("ESP in UDP", esp::in_udp),
        ("packets of many sizes", esp::packets_of_many_sizes),
        ("numbers beyond 32 bits", esp::numbers_go_beyond_32_bits),
        ("new SAs under load", esp::sas_take_each_others_place),
        ("what comes in clear", esp::what_comes_in_clear_is_dropped),
    ] {
        let began = Instant::now();
        case(&peer);
        println!("{what}: {:?}", began.elapsed());
    }
    peer.ends_well();
}
