//! Hop-by-hop options, by RFC 8200 section 4.2, RFC 2711 and RFC 2675: what is wrong with them, and whether there is a router alert.
//! The limits are the defaults of a configuration: 256 bytes and 8 options, and what goes beyond has no alert.

use primary::path::punt::PuntMode;
use shm::DropReason;

use super::{Expected, Packet, Reasons, options6, u16_at};

/// What a header comes to.
pub(super) enum Judged {
    /// Nobody looks, or there is nothing to find.
    Nothing,
    /// It has a router alert.
    Alert,
    /// Something is wrong with it.
    Wrong(Reasons),
}

impl Judged {
    /// What becomes of the packet if something is wrong.
    pub(super) fn dropped(&self) -> Option<Expected> {
        match self {
            Self::Wrong(faults) => faults.found(),
            _ => None,
        }
    }
}

/// Judges the header of a packet that stays on its link, where each is judged, or of one that goes on.
pub(super) fn judge(packet: &Packet<'_>, bytes: &[u8], goes_on: bool) -> Judged {
    const MOST_BYTES: usize = 256;
    const MOST_OPTIONS: usize = 8;
    let is_asked = goes_on && packet.punts != PuntMode::Off;
    if bytes[6] != 0 || !(packet.ingress.process || is_asked) {
        return Judged::Nothing;
    }
    let payload = &bytes[40..];
    if payload.len() < 2 || (usize::from(payload[1]) + 1) * 8 > payload.len() {
        return Judged::Wrong(Reasons::of(DropReason::HopByHopLength));
    }
    let length = (usize::from(payload[1]) + 1) * 8;
    if length > MOST_BYTES {
        return Judged::Nothing;
    }
    let mut faults = Reasons::default();
    let (mut alert, mut count) = (None, 0);
    let mut is_beyond = false;
    for option in options6(bytes, 40, length) {
        let Some((kind, at)) = option else {
            faults.add(DropReason::HopByHopOptionLength);
            break;
        };
        if kind <= 1 {
            continue;
        }
        count += 1;
        if count > MOST_OPTIONS {
            is_beyond = true;
            break;
        }
        match kind {
            5 if bytes[at + 1] == 2 => {
                let value = u16_at(bytes, at + 2);
                let differs = alert.is_some_and(|before| before != value);
                faults.add_if(differs, DropReason::RouterAlertDuplicate);
                alert.get_or_insert(value);
            }
            5 => faults.add(DropReason::RouterAlertLength),
            0xc2 => faults.add(DropReason::JumboPayload),
            _ => faults.add_if(
                packet.ingress.process && kind >> 6 != 0,
                DropReason::HopByHopOption,
            ),
        }
    }
    if faults.found().is_some() {
        Judged::Wrong(faults)
    } else if alert.is_some() && !is_beyond {
        Judged::Alert
    } else {
        Judged::Nothing
    }
}
