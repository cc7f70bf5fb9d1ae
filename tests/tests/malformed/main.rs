//! Malformed and unusual packets through a real primary: each forwarded or answered as a router should, or dropped under the
//! reason that its test names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod discovery;
mod ethernet;
mod gateway;
mod ipv4;
mod ipv6;
mod ipv6_local;
mod mutation;
mod replay;

mod router;
mod streams;

use std::time::Duration;

use gateway::Gateway;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// `frame` with `bytes` at `offset`.
pub(crate) fn patched(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn frames_end_as_their_table_says() {
    let gateway = Gateway::start();
    ethernet::frames_that_are_not_for_us_or_of_no_vlan_of_ours_are_dropped_by_name(&gateway);
    ethernet::frames_cut_at_every_byte_are_dropped_for_what_is_cut_off(&gateway);
}

#[test]
fn ipv4_packets_end_as_their_table_says() {
    let gateway = Gateway::start();
    ipv4::headers_that_contradict_themselves_are_dropped_by_name(&gateway);
    ipv4::addresses_that_no_packet_may_have_are_dropped_by_name(&gateway);
    ipv4::options_are_passed_on_or_pointed_at(&gateway);
    ipv4::fragments_and_long_packets_are_the_business_of_others(&gateway);
    ipv4::what_the_gateway_itself_cannot_take_is_told_or_dropped_by_name(&gateway);
}

#[test]
fn ipv6_packets_end_as_their_table_says() {
    let gateway = Gateway::start();
    ipv6::headers_that_contradict_themselves_are_dropped_by_name(&gateway);
    ipv6::addresses_and_scopes_that_end_here_are_dropped_by_name(&gateway);
    ipv6::extension_headers_are_passed_on_whatever_they_say(&gateway);
    ipv6_local::extension_headers_for_the_gateway_are_followed_or_pointed_at(&gateway);
    ipv6_local::upper_layers_for_the_gateway_are_answered_told_or_dropped_by_name(&gateway);
}

#[test]
fn discovery_ends_as_its_table_says() {
    let gateway = Gateway::start();
    discovery::arp_that_no_host_sends_is_dropped_and_teaches_nothing(&gateway);
    discovery::neighbor_messages_that_may_not_be_believed_are_dropped_and_teach_nothing(&gateway);
}
