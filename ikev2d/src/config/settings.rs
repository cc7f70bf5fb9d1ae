//! `[ike]`: timeouts and limits for all peers.

use document::Section;
use ike_engine::Settings;

use super::time::Span;

/// Reads what is there; what is not is as the engine has it.
pub(super) fn read(section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    for (key, place) in [
        ("retransmit_first", &mut settings.retransmission.first),
        ("retransmit_longest", &mut settings.retransmission.longest),
        ("half_open_timeout", &mut settings.half_open_timeout),
        ("nat_keepalive", &mut settings.keepalive),
        ("restart_first", &mut settings.restart_first),
        ("restart_longest", &mut settings.restart_longest),
    ] {
        if let Some(span) = section.parsed::<Span>(key) {
            *place = span.value.0;
        }
    }
    if let Some(attempts) = section.integer("retransmit_attempts", 1..=20u32) {
        settings.retransmission.attempts = attempts.value;
    }
    let count = |key, most: u32, place: &mut usize| {
        if let Some(count) = section.integer(key, 0..=most) {
            *place = count.value as usize;
        }
    };
    count("cookie_threshold", 1_000_000, &mut settings.cookie_threshold);
    count("max_half_open", 1_000_000, &mut settings.max_half_open);
    count(
        "max_half_open_per_source",
        1_000_000,
        &mut settings.max_half_open_per_source,
    );
    count("max_children", 256, &mut settings.max_children);
    // With none nobody could begin.
    if let Some(count) = section.integer("max_ike_per_peer", 1..=1_000_000u32) {
        settings.max_ike_per_peer = count.value as usize;
    }
    // RFC 7383 section 2.5.1: what every link takes, less IP and UDP.
    if let Some(bytes) = section.integer("fragment_size", 576..=1500u16) {
        settings.fragment_len = usize::from(bytes.value) - IP_AND_UDP;
    }
    section.finish();
    settings
}

/// Bytes of the headers of IPv6 and UDP.
const IP_AND_UDP: usize = 40 + 8;
