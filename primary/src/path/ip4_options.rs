//! IPv4 options: well-formed or not (RFC 791 section 3.1), router alert (RFC 2113), and source routes, which nobody follows
//! any more: RFC 7126 sections 4.3.5 and 4.4.5. What is written into options is [`ip4_record`]'s.

use control::message::PuntClass;
use packet::{Ipv4, ipv4};
use router_alert::alert::find_v4;
use shm::{DropReason, PathStage};

use super::ip4_record::{self, RECORD_ROUTE, TIMESTAMP};
use super::punt::Punts;
use super::{InterfaceView, Note, options};

/// The router alert option: copied, class 0, number 20.
const ROUTER_ALERT: u8 = 148;
/// The end of the options, and an option of nothing, which have no length.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// Loose and strict source and record route.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// What the options of a packet ask of a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    /// One router alert or several.
    router_alert: bool,
    /// A source route, used up or not.
    source_route: bool,
    /// The route and the time that each router writes.
    route: bool,
    time: bool,
}

/// Whether a packet with options goes on: not when they are malformed or a source route, and not when a tool decides about it.
#[cold]
pub(super) fn run(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    (packet, behind): (&[u8], usize),
    note: &mut Note,
) -> bool {
    note.passed = note.passed.with(PathStage::Ip4Options);
    // ip4_input has checked the header.
    let Ok(header) = Ipv4::parse_start(packet, behind) else {
        return false;
    };
    let goes_on = match walk(header.options()) {
        Err(offset) => {
            note.detail = (ipv4::HEADER_LEN + offset) as u16;
            note.drop(DropReason::Ip4Options);
            false
        }
        Ok(Found {
            source_route: true, ..
        }) => {
            note.drop(DropReason::Ip4SourceRoute);
            false
        }
        Ok(found) => {
            note.careful = found.route || found.time;
            let is_asked = found.router_alert && !punts.is_off(PuntClass::RouterAlert);
            !is_asked || passes_alert(interface, ingress, punts, (packet, &header), note)
        }
    };
    if !goes_on {
        note.stays_before_lookup();
    }
    goes_on
}

/// Whether a packet with a router alert goes on, although such packets concern somebody.
fn passes_alert(
    interface: &InterfaceView,
    ingress: u16,
    punts: &Punts,
    (packet, header): (&[u8], &Ipv4<'_>),
    note: &mut Note,
) -> bool {
    match find_v4(header, &interface.options.settings) {
        Ok(Some(alert)) => {
            note.remarks = options::remarks(&alert);
            !punts.apply_alert(&alert, ingress, packet, note)
        }
        Ok(None) => true,
        Err(fault) => {
            interface.options.refuse(fault, note);
            false
        }
    }
}

/// Walks the options; fails with the offset of the octet that is wrong.
fn walk(options: &[u8]) -> Result<Found, usize> {
    let mut found = Found::default();
    let mut offset = 0;
    while let Some(&kind) = options.get(offset) {
        if kind == END {
            break;
        }
        if kind == NO_OPERATION {
            offset += 1;
            continue;
        }
        // Without a length the type itself is wrong: nothing behind the header can be pointed at.
        let length = usize::from(*options.get(offset + 1).ok_or(offset)?);
        let option = options.get(offset..offset + length).filter(|_| length >= 2);
        let option = option.ok_or(offset + 1)?;
        match (kind, option) {
            (ROUTER_ALERT, [_, _, _, _]) => found.router_alert = true,
            (ROUTER_ALERT, _) => return Err(offset + 1),
            (kind, [_, _, pointer, ..]) if SOURCE_ROUTES.contains(&kind) => {
                // One-based, and behind kind, length and itself.
                if *pointer < 4 {
                    return Err(offset + 2);
                }
                // RFC 1812 section 5.2.4.1: one of either kind.
                if std::mem::replace(&mut found.source_route, true) {
                    return Err(offset);
                }
            }
            (kind, _) if SOURCE_ROUTES.contains(&kind) => return Err(offset + 1),
            (RECORD_ROUTE | TIMESTAMP, option) => {
                let seen = if kind == RECORD_ROUTE {
                    &mut found.route
                } else {
                    &mut found.time
                };
                // RFC 791 section 3.1: at most once in a packet.
                if std::mem::replace(seen, true) {
                    return Err(offset);
                }
                ip4_record::check(option).map_err(|at| offset + at)?;
            }
            _ => {}
        }
        offset += length;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_router_alert_is_found_wherever_it_stands() {
        for (options, found) in [
            (&[148, 4, 0, 0][..], true),
            (&[1, 1, 1, 148, 4, 0, 0, 0], true),
            (&[7, 7, 4, 0, 0, 0, 0, 148, 4, 1, 5, 0], true),
            (&[148, 4, 0, 5, 148, 4, 0, 6], true),
            (&[], false),
            (&[0, 148, 4, 0], false),
            (&[9, 4, 148, 4], false),
        ] {
            assert_eq!(
                walk(options).map(|found| found.router_alert),
                Ok(found),
                "{options:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (options, pointer) in [
            (&[148, 3, 0, 0][..], 1),
            (&[148, 4, 0], 1),
            (&[1, 148], 1),
            (&[7, 0, 148, 4, 0, 0], 1),
            (&[1, 7, 200, 148, 4, 0, 0], 2),
            (&[7, 1, 0, 0], 1),
            (&[131, 3, 0, 0], 2),
            (&[131, 2, 0, 0], 1),
            (&[131, 3, 4, 137, 3, 4], 3),
            (&[7, 7, 4, 0, 0, 0, 0, 7, 3, 4], 7),
            (&[1, 7, 7, 3, 0, 0, 0, 0], 3),
            (&[68, 8, 5, 1, 0, 0, 0, 0], 2),
        ] {
            assert_eq!(walk(options), Err(pointer), "{options:?}");
        }
    }

    #[test]
    fn a_source_route_is_found_whether_it_is_used_up_or_not() {
        for pointer in [4, 8] {
            for kind in SOURCE_ROUTES {
                let route = [kind, 7, pointer, 10, 0, 0, 1, 0];
                assert!(walk(&route).unwrap().source_route, "{route:?}");
            }
        }
        assert!(!walk(&[7, 7, 4, 0, 0, 0, 0]).unwrap().source_route);
    }

    proptest! {
        #[test]
        fn any_options_are_walked_to_an_end(options in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Err(pointer) = walk(&options) {
                prop_assert!(pointer < options.len());
            }
        }
    }
}
