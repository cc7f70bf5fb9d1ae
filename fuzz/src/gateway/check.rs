//! Whether what became of a packet is what may become of it: fate, reason, and every byte.

use std::fmt::Write;
use std::sync::atomic::{AtomicU32, AtomicU64};

use primary::path::errors::is_told;
use primary::path::{Disposition, Note, Stages};
use shm::DropReason;

use super::answer;
use super::oracle::{Expected, Opinion, fold, ipv6, pseudo, sum, u16_at};
use super::topology::{INTERFACES, neighbor};

/// What became of a packet, for the tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It left by another interface, or the same.
    Forwarded,
    /// It leaves so in fragments.
    Fragmented,
    /// It is a fragment that waits for the others.
    Reassembled,
    /// It went back as an echo reply.
    EchoReply,
    /// It was dropped for this reason, and no other would have been right.
    Dropped(DropReason),
    /// It was dropped for one of several faults.
    DroppedForOneOfSeveral,
    /// It was dropped for this reason, and its sender told.
    Answered(DropReason),
    /// It went to the control thread.
    Control,
    /// It waits for its next hop.
    Waits,
    /// A tool decides.
    Punted,
}

type Path = Stages<Vec<AtomicU32>, Vec<AtomicU64>>;

/// Panics if the packet fared as it may not.
pub(super) fn check(
    stages: &Path,
    ingress: u16,
    original: &[u8],
    after: &[u8],
    note: &Note,
    opinion: &Opinion,
) -> Seen {
    let fails = |what: &str| -> ! {
        let (fate, expected) = (note.disposition, opinion.expected);
        panic!(
            "{what}: came in by {ingress}, {fate:?}, but may be {expected:?}\n{}",
            hex(original)
        )
    };
    let back = back(stages, ingress, after, note);
    let (after, disposition) = match &back {
        Some((frame, disposition)) => (frame.as_slice(), *disposition),
        None => (after, note.disposition),
    };
    let leaves = matches!(disposition, Disposition::Transmit(_) | Disposition::Fragment(_));
    if !leaves && original != after {
        fails("a packet that does not leave was changed");
    }
    match (disposition, opinion.expected) {
        (Disposition::Drop(reason), Expected::Drop(reasons)) if reasons.contains(reason) => {
            let error = stages.error_for(ingress, after, reason, note.detail);
            let about = answer::About {
                ingress: &INTERFACES[usize::from(ingress)],
                frame: after,
                opinion,
                reason,
            };
            let told = error.is_some();
            if told && !is_told(reason) {
                fails("an answer for a reason that has none");
            }
            if let Err(wrong) = answer::check(&about, error.as_ref()) {
                fails(&wrong);
            }
            match (told, reasons.is_certain()) {
                (true, _) => Seen::Answered(reason),
                (false, true) => Seen::Dropped(reason),
                (false, false) => Seen::DroppedForOneOfSeveral,
            }
        }
        (Disposition::Transmit(interface), Expected::Forward(expected)) if interface == expected => {
            if note.echo_reply || !is_forwarded(original, after, note, interface, opinion) {
                fails(&format!("forwarded wrongly, as\n{}", hex(after)));
            }
            Seen::Forwarded
        }
        (Disposition::Fragment(interface), Expected::Fragment(expected)) if interface == expected => {
            let mtu = INTERFACES[usize::from(interface)].mtu;
            if note.detail != mtu || !is_forwarded(original, after, note, interface, opinion) {
                fails(&format!("to be cut wrongly, as\n{}", hex(after)));
            }
            Seen::Fragmented
        }
        (Disposition::Reassemble, Expected::Reassemble) => Seen::Reassembled,
        (Disposition::Transmit(interface), Expected::EchoReply) if interface == ingress => {
            let right = if opinion.six { is_reply6 } else { is_reply4 };
            if !note.echo_reply || note.trim != 0 || !right(original, after, note, ingress, opinion) {
                fails(&format!("answered wrongly, with\n{}", hex(after)));
            }
            Seen::EchoReply
        }
        (Disposition::Arp, Expected::Arp) | (Disposition::Nd, Expected::Nd) => Seen::Control,
        (Disposition::Punt(class), Expected::Punt(expected)) if class == expected => Seen::Punted,
        (Disposition::Wait { interface, adjacency }, Expected::Wait(expected, next_hop)) => {
            let awaited = stages.awaited(adjacency, after, note);
            if interface != expected || awaited.is_none_or(|(found, _)| found != next_hop) {
                fails(&format!("waits for {awaited:?}"));
            }
            Seen::Waits
        }
        _ => fails("wrong fate"),
    }
}

/// What the worker makes of a packet that leaves by the interface that it came in by, after it has told the sender.
fn back(stages: &Path, ingress: u16, after: &[u8], note: &Note) -> Option<(Vec<u8>, Disposition)> {
    let Disposition::Redirect { interface, adjacency } = note.disposition else {
        return None;
    };
    let mut frame = after.to_vec();
    let leaving = &mut frame[usize::from(note.trim)..usize::from(note.length)];
    if let Some(redirect) = stages.redirect_for(interface, adjacency, leaving, note.family()) {
        let (headers, quote) = (
            redirect.headers(),
            &leaving[redirect.quote_at..][..redirect.quote_len],
        );
        let six = headers[12..14] == [0x86, 0xdd];
        let most = 14 + if six { 1280 } else { 576 };
        let message = if six { 54 } else { 34 };
        let kind = if six { [137, 0] } else { [5, 1] };
        // The one who is told is the one who sent the packet.
        let (host, source) = if six { (38..54, 8..24) } else { (30..34, 12..16) };
        let right = interface == ingress
            && headers.len() + quote.len() <= most
            && headers[message..message + 2] == kind
            && headers[host] == quote[source]
            && headers[..6] == leaving[6..12]
            && redirect.quote_at == 14;
        assert!(
            right,
            "a redirect that may not be: {}\n{}",
            hex(headers),
            hex(after)
        );
    }
    let completed = stages.complete(interface, leaving, note);
    assert!(completed.is_ok(), "{completed:?}: {}", hex(after));
    let disposition = match note.detail {
        0 => Disposition::Transmit(interface),
        _ => Disposition::Fragment(interface),
    };
    Some((frame, disposition))
}

/// The link header anew, TTL or hop limit less by one, all else as it was.
fn is_forwarded(original: &[u8], after: &[u8], note: &Note, interface: u16, opinion: &Opinion) -> bool {
    let sent = after.get(usize::from(note.trim)..usize::from(note.length));
    let came = &original[opinion.network..opinion.end];
    let Some((link, packet)) = sent.and_then(|sent| sent.split_first_chunk::<14>()) else {
        return false;
    };
    let ethertype = if opinion.six { [0x86, 0xdd] } else { [0x08, 0x00] };
    let right_link = link[..6] == neighbor(interface)
        && link[6..12] == INTERFACES[usize::from(interface)].mac
        && link[12..] == ethertype;
    if !right_link || packet.len() != came.len() {
        return false;
    }
    if opinion.six {
        return packet[..7] == came[..7] && packet[7] == came[7] - 1 && packet[8..] == came[8..];
    }
    let header_len = usize::from(came[0] & 15) * 4;
    packet[..8] == came[..8]
        && packet[8] == came[8] - 1
        && packet[9] == came[9]
        && packet[12..20] == came[12..20]
        && are_written(&came[20..header_len], &packet[20..header_len])
        && packet[header_len..] == came[header_len..]
        && fold(sum(0, &packet[..header_len])) == 0xffff
}

/// RFC 791 section 3.1: routers write into record route and timestamp, and leave the other options alone.
fn are_written(mut before: &[u8], mut after: &[u8]) -> bool {
    loop {
        let length = match before {
            [] | [0, ..] => return before == after,
            [1, ..] => 1,
            [_, length, ..] => usize::from(*length),
            _ => return false,
        };
        let (Some((old, rest)), Some((new, new_rest))) =
            (before.split_at_checked(length), after.split_at_checked(length))
        else {
            return false;
        };
        let right = match old[0] {
            // What is written lies between the old pointer and the new one.
            7 | 68 => {
                let (from, to) = (usize::from(old[2]) - 1, usize::from(new[2]) - 1);
                let data = if old[0] == 68 { 4 } else { 3 };
                new[..2] == old[..2]
                    && to >= from
                    && new.get(data..from.min(length)) == old.get(data..from.min(length))
                    && new.get(to.min(length)..) == old.get(to.min(length)..)
            }
            _ => new == old,
        };
        if !right {
            return false;
        }
        (before, after) = (rest, new_rest);
    }
}

/// The link header turned round, its tags as they were.
fn is_returned(original: &[u8], after: &[u8], ingress: u16, network: usize) -> bool {
    after[..6] == original[6..12]
        && after[6..12] == INTERFACES[usize::from(ingress)].mac
        && after[12..network] == original[12..network]
}

/// RFC 1122 section 3.2.2.6.
fn is_reply4(original: &[u8], after: &[u8], note: &Note, ingress: u16, opinion: &Opinion) -> bool {
    let network = opinion.network;
    let (came, reply) = (
        &original[network..opinion.end],
        &after[network..usize::from(note.length)],
    );
    let asked = &came[usize::from(came[0] & 15) * 4..];
    let header_len = usize::from(reply[0] & 15) * 4;
    let (header, message) = reply.split_at(header_len.min(reply.len()));
    // Of the options those are left that are written into.
    let has_others = header.get(20).is_some_and(|kind| ![0, 7, 68].contains(kind));
    (20..=usize::from(came[0] & 15) * 4).contains(&header_len)
        && !has_others
        && reply.len() == header_len + asked.len()
        && usize::from(u16_at(header, 2)) == reply.len()
        && is_returned(original, after, ingress, network)
        && header[1] == came[1]
        && header[4..6] == came[4..6]
        && (header[6], header[7]) == (came[6] & 0x7f, came[7])
        && (header[8], header[9]) == (64, 1)
        && fold(sum(0, header)) == 0xffff
        && header[12..16] == came[16..20]
        && header[16..20] == came[12..16]
        && message[..2] == [0, 0]
        && fold(sum(0, message)) == 0xffff
        && message[4..] == asked[4..]
}

/// RFC 4443 section 4.2: from the address that was asked, or from one of the interface's if that was several hosts'.
fn is_reply6(original: &[u8], after: &[u8], note: &Note, ingress: u16, opinion: &Opinion) -> bool {
    let network = opinion.network;
    let (came, reply) = (
        &original[network..opinion.end],
        &after[network..usize::from(note.length)],
    );
    let Some((header, message)) = reply.split_first_chunk::<40>() else {
        return false;
    };
    // The end of the packet, whatever headers stood before it.
    let Some(request) = came.last_chunk_of(message.len()) else {
        return false;
    };
    let (_, six, link_local) = INTERFACES[usize::from(ingress)].addresses;
    let to_several = came[24] == 0xff || came[24..40] == ipv6::LINK_ROUTERS.octets();
    let source = match (to_several, u16_at(came, 8) & 0xffc0 == 0xfe80) {
        (true, true) => &link_local.octets()[..],
        (true, false) => &six.octets(),
        _ => &came[24..40],
    };
    let length = usize::from(u16_at(header, 4));
    is_returned(original, after, ingress, network)
        && header[0] == came[0]
        && header[1..4] == [came[1] & 0xf0, 0, 0]
        && length == message.len()
        && header[6..8] == [58, 64]
        && header[8..24] == *source
        && header[24..] == came[8..24]
        && message.len() >= 8
        && message[..2] == [129, 0]
        && fold(sum(pseudo(&header[8..], 58, length), message)) == 0xffff
        && request[..2] == [128, 0]
        && message[4..] == request[4..]
}

trait LastChunkOf {
    /// The last bytes, as many as this.
    fn last_chunk_of(&self, length: usize) -> Option<&[u8]>;
}

impl LastChunkOf for [u8] {
    fn last_chunk_of(&self, length: usize) -> Option<&[u8]> {
        self.get(self.len().checked_sub(length)?..)
    }
}

/// Bytes for a message, 16 a line.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(16).enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "  {:04x} ", line * 16);
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}
