//! The options into which each router writes: record route and timestamp, RFC 791 section 3.1, RFC 1812 sections 5.3.13.5 and
//! 5.3.13.6.
//!
//! ```text
//!   record route    7 │ length │ pointer │ addresses …
//!   timestamp      68 │ length │ pointer │ overflow, flag (4 bits each) │ times, or addresses with times …
//! ```
//!
//! A pointer is one-based, from the start of its option, and says where to write next; behind the length means full.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use packet::ipv4;

pub(super) const RECORD_ROUTE: u8 = 7;
pub(super) const TIMESTAMP: u8 = 68;
/// The flags of a timestamp option: times alone, with addresses, with addresses that the sender has chosen.
const TIMES: u8 = 0;
const ADDRESSES: u8 = 1;
const CHOSEN: u8 = 3;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MILLISECONDS_PER_DAY: u128 = 24 * 60 * 60 * 1000;
/// Bytes of the options of a header at most.
const MOST: usize = 40;

/// The octet of a record route or timestamp option that is wrong, from the start of the option on.
pub(super) fn check(option: &[u8]) -> Result<(), usize> {
    let &[kind, length, ref rest @ ..] = option else {
        return Err(1);
    };
    let length = usize::from(length);
    let first = if kind == RECORD_ROUTE { 4 } else { 5 };
    let pointer = match rest {
        [pointer, ..] if length + 1 >= first => usize::from(*pointer),
        _ => return Err(1),
    };
    if pointer < first {
        return Err(2);
    }
    let entry = match (kind, rest) {
        (RECORD_ROUTE, _) => 4,
        (_, [_, overflow_flag, ..]) => match overflow_flag & 0xf {
            // RFC 791 section 3.1: a full option counts those who found no room, up to 15.
            flag if pointer > length => {
                return if flag != CHOSEN && overflow_flag >> 4 == 15 {
                    Err(3)
                } else {
                    Ok(())
                };
            }
            TIMES => 4,
            ADDRESSES | CHOSEN => 8,
            _ => return Ok(()),
        },
        _ => return Err(1),
    };
    if pointer <= length && pointer + entry - 1 > length {
        return Err(2);
    }
    Ok(())
}

/// Writes into the options of a packet whose header was checked: `address` where addresses are wanted, and the time.
pub(super) fn record(packet: &mut [u8], address: Ipv4Addr, is_own: impl Fn(Ipv4Addr) -> bool) {
    let header_len = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    let Some(header) = packet.get_mut(..header_len) else {
        return;
    };
    let options = header.get_mut(ipv4::HEADER_LEN..).unwrap_or_default();
    for_each(options, |option| write(option, address, &is_own));
    ipv4::fill_checksum(header);
}

/// The options of a reply to a packet with these: record route and timestamp with the gateway's own `address`, RFC 1122 section
/// 3.2.2.6, and none of the others. With their length, a multiple of four.
pub(super) fn for_reply(options: &[u8], address: Ipv4Addr) -> ([u8; MOST], usize) {
    let (mut reply, mut len) = ([END; MOST], 0);
    let mut request = [END; MOST];
    let request = &mut request[..options.len().min(MOST)];
    request.copy_from_slice(&options[..request.len()]);
    for_each(request, |option| {
        if matches!(option, [RECORD_ROUTE | TIMESTAMP, ..])
            && let Some(place) = reply.get_mut(len..len + option.len())
        {
            write(option, address, &|own| own == address);
            place.copy_from_slice(option);
            len += option.len();
        }
    });
    (reply, len.next_multiple_of(4))
}

/// Calls `act` with each option that has a length.
fn for_each(mut options: &mut [u8], mut act: impl FnMut(&mut [u8])) {
    loop {
        let len = match options {
            [] | [END, ..] => return,
            [NO_OPERATION, ..] => 1,
            [_, length, ..] => usize::from(*length),
            [_] => return,
        };
        let Some((option, rest)) = options.split_at_mut_checked(len).filter(|_| len > 0) else {
            return;
        };
        if len > 1 {
            act(option);
        }
        options = rest;
    }
}

/// Writes into an option what it asks for.
fn write(option: &mut [u8], address: Ipv4Addr, is_own: &dyn Fn(Ipv4Addr) -> bool) {
    if check(option).is_err() {
        return;
    }
    let &mut [kind, _, pointer, ref third, ..] = option else {
        return;
    };
    let (flag, at) = (*third & 0xf, usize::from(pointer) - 1);
    let is_full = at >= option.len();
    let written = match (kind, flag) {
        (RECORD_ROUTE, _) if !is_full => put(option, at, address.octets()),
        (TIMESTAMP, CHOSEN) if is_full => 0,
        (TIMESTAMP, _) if is_full => {
            option[3] += 0x10;
            0
        }
        (TIMESTAMP, TIMES) => put(option, at, now()),
        (TIMESTAMP, ADDRESSES) => put(option, at, address.octets()) + put(option, at + 4, now()),
        (TIMESTAMP, CHOSEN) => {
            let chosen = option.get(at..).and_then(<[u8]>::first_chunk::<4>).copied();
            if chosen.is_some_and(|chosen| is_own(chosen.into())) {
                4 + put(option, at + 4, now())
            } else {
                0
            }
        }
        _ => 0,
    };
    // At most 41.
    option[2] += written;
}

/// Writes a word; gives the bytes written.
fn put(option: &mut [u8], at: usize, word: [u8; 4]) -> u8 {
    match option.get_mut(at..at + 4) {
        Some(place) => {
            place.copy_from_slice(&word);
            4
        }
        None => 0,
    }
}

/// Milliseconds since midnight UT.
fn now() -> [u8; 4] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ((since.as_millis() % MILLISECONDS_PER_DAY) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OTHER: [u8; 4] = [10, 0, 0, 9];

    fn written(option: &[u8]) -> Vec<u8> {
        let mut option = option.to_vec();
        write(&mut option, OWN, &|address| address == OWN);
        option
    }

    fn is_now(time: &[u8]) -> bool {
        let [now, time] = [now(), time.try_into().unwrap()].map(u32::from_be_bytes);
        now.wrapping_sub(time) < 60_000
    }

    #[test]
    fn a_route_is_recorded_where_the_pointer_says() {
        assert_eq!(
            written(&[7, 11, 8, 10, 0, 0, 9, 0, 0, 0, 0]),
            [7, 11, 12, 10, 0, 0, 9, 192, 0, 2, 1]
        );
        let full = [7, 7, 8, 10, 0, 0, 9];
        assert_eq!(written(&full), full);
    }

    #[test]
    fn times_are_recorded_with_and_without_addresses() {
        let times = written(&[68, 8, 5, 0, 0, 0, 0, 0]);
        assert_eq!(times[..4], [68, 8, 9, 0]);
        assert!(is_now(&times[4..]));
        let both = written(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(both[..8], [68, 12, 13, 1, 192, 0, 2, 1]);
        assert!(is_now(&both[8..]));
    }

    #[test]
    fn a_chosen_station_alone_writes_its_time() {
        let chosen = |address: [u8; 4]| [&[68, 12, 5, 3], &address[..], &[0; 4]].concat();
        assert_eq!(written(&chosen(OTHER)), chosen(OTHER));
        let own = written(&chosen(OWN.octets()));
        assert_eq!(own[..8], [68, 12, 13, 3, 192, 0, 2, 1]);
        assert!(is_now(&own[8..]));
    }

    #[test]
    fn a_full_timestamp_counts_who_found_no_room() {
        assert_eq!(written(&[68, 4, 5, 0x20]), [68, 4, 5, 0x30]);
        assert_eq!(written(&[68, 4, 5, 0x03]), [68, 4, 5, 0x03]);
        assert_eq!(check(&[68, 4, 5, 0xf1]), Err(3));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (option, wrong) in [
            (&[7, 2][..], 1),
            (&[7, 7, 3, 0, 0, 0, 0], 2),
            (&[7, 9, 8, 0, 0, 0, 0, 0, 0], 2),
            (&[68, 3, 5], 1),
            (&[68, 8, 4, 0, 0, 0, 0, 0], 2),
            (&[68, 8, 5, 1, 0, 0, 0, 0], 2),
        ] {
            assert_eq!(check(option), Err(wrong), "{option:?}");
        }
        for good in [&[7, 3, 4][..], &[7, 7, 4, 0, 0, 0, 0], &[68, 8, 5, 2, 0, 0, 0, 0]] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn a_reply_has_the_options_that_are_written_into_and_no_others() {
        let (options, len) = for_reply(&[1, 148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0], OWN);
        assert_eq!(options[..len], [7, 7, 8, 192, 0, 2, 1, 0]);
        assert_eq!(for_reply(&[1, 1, 1, 0], OWN).1, 0);
    }

    proptest! {
        #[test]
        fn any_options_are_written_into_without_a_change_of_length(options in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut changed = options.clone();
            for_each(&mut changed, |option| write(option, OWN, &|_| true));
            prop_assert_eq!(changed.len(), options.len());
            let (_, len) = for_reply(&options, OWN);
            prop_assert!(len <= MOST && len % 4 == 0);
        }
    }
}
