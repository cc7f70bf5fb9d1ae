//! Congestion marks of outer and inner headers: RFC 6040 sections 4.1 (normal mode) and 4.2.
//!
//! ```text
//!                     outer
//!   inner      Not-ECT   ECT(0)    ECT(1)    CE
//!   Not-ECT    Not-ECT   Not-ECT   Not-ECT   dropped
//!   ECT(0)     ECT(0)    ECT(0)    ECT(1)    CE
//!   ECT(1)     ECT(1)    ECT(1)    ECT(1)    CE
//!   CE         CE        CE        CE        CE
//! ```

use crate::{ipv4, ipv6};

/// The low two bits of a traffic class, RFC 3168 section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// The transport does not know about marks.
    NotEct,
    /// It does: codepoint 01.
    Ect1,
    /// It does: codepoint 10.
    Ect0,
    /// Met congestion.
    Ce,
}

impl Ecn {
    /// Of a traffic class.
    #[inline]
    pub const fn of(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// A traffic class with this mark instead of its own.
    #[inline]
    pub const fn put_into(self, traffic_class: u8) -> u8 {
        traffic_class & !3 | self as u8
    }
}

/// The traffic class of an outer header: the inner mark, behind this DSCP (6 bits) or that of the inner header.
#[inline]
pub const fn outer_traffic_class(inner: u8, dscp: Option<u8>) -> u8 {
    match dscp {
        Some(dscp) => dscp << 2 | inner & 3,
        None => inner,
    }
}

/// The mark that a packet goes on with; `None` if it must be dropped: it met congestion and cannot say so.
#[inline]
pub const fn decapsulated(inner: Ecn, outer: Ecn) -> Option<Ecn> {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => None,
        (Ecn::NotEct, _) => Some(Ecn::NotEct),
        (Ecn::Ce, _) | (_, Ecn::Ce) => Some(Ecn::Ce),
        (Ecn::Ect0, Ecn::Ect1) => Some(Ecn::Ect1),
        (inner, _) => Some(inner),
    }
}

/// Gives the packet that came in an outer header of this traffic class the mark that it goes on with; whether it goes on at all.
/// `inner` begins with its IP header, the checksum of which stays right if it was.
#[must_use = "a packet whose mark would be lost has to be dropped"]
pub fn decapsulate(inner: &mut [u8], outer: u8) -> bool {
    let Some(first) = inner.first_chunk::<2>() else {
        return false;
    };
    let traffic_class = match first[0] >> 4 {
        4 => first[1],
        _ => first[0] << 4 | first[1] >> 4,
    };
    let before = Ecn::of(traffic_class);
    let Some(after) = decapsulated(before, Ecn::of(outer)) else {
        return false;
    };
    if before != after {
        set_traffic_class(inner, after.put_into(traffic_class));
    }
    true
}

/// Gives a packet, which begins with its IP header, another traffic class. A checksum that was right stays right; fewer bytes than a header
/// stay as they are.
#[cold]
pub fn set_traffic_class(packet: &mut [u8], traffic_class: u8) {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet
            .first_chunk_mut()
            .map(|header| ipv4::set_traffic_class(header, traffic_class)),
        _ => packet
            .first_chunk_mut()
            .map(|header| ipv6::set_traffic_class(header, traffic_class)),
    };
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::{Ipv4, Ipv6, Protocol, ipv4::Ipv4Header, ipv6::Ipv6Header};

    const ALL: [Ecn; 4] = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];

    /// Figure 4 of RFC 6040: a row for each inner mark.
    const FIGURE: [[Option<Ecn>; 4]; 4] = [
        [Some(Ecn::NotEct), Some(Ecn::NotEct), Some(Ecn::NotEct), None],
        [Some(Ecn::Ect0), Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)],
        [Some(Ecn::Ect1), Some(Ecn::Ect1), Some(Ecn::Ect1), Some(Ecn::Ce)],
        [Some(Ecn::Ce), Some(Ecn::Ce), Some(Ecn::Ce), Some(Ecn::Ce)],
    ];

    fn four(traffic_class: u8) -> [u8; 20] {
        let mut bytes = [0; 20];
        let header = Ipv4Header {
            traffic_class,
            identification: 1,
            dont_fragment: false,
            ttl: 9,
            protocol: Protocol::UDP,
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
            payload_len: 0,
        };
        header.emit(&mut bytes).unwrap();
        bytes
    }

    fn six(traffic_class: u8) -> [u8; 40] {
        let mut bytes = [0; 40];
        let header = Ipv6Header {
            traffic_class,
            flow_label: 0xf_edcb,
            next_header: Protocol::UDP,
            hop_limit: 9,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
            payload_len: 0,
        };
        header.emit(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn codepoints_are_those_of_rfc_3168() {
        assert_eq!(
            [0, 1, 2, 3].map(Ecn::of),
            [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce]
        );
        for mark in ALL {
            assert_eq!(Ecn::of(0xfc | mark as u8), mark);
            for traffic_class in 0..=u8::MAX {
                let put = mark.put_into(traffic_class);
                assert_eq!((Ecn::of(put), put >> 2), (mark, traffic_class >> 2));
            }
        }
    }

    #[test]
    fn marks_come_out_as_figure_4_of_rfc_6040_says() {
        for (inner, row) in ALL.into_iter().zip(FIGURE) {
            for (outer, expected) in ALL.into_iter().zip(row) {
                assert_eq!(decapsulated(inner, outer), expected, "{inner:?} in {outer:?}");
                let (inner, outer) = (0xb8 | inner as u8, 0x28 | outer as u8);
                let mut packet = four(inner);
                assert_eq!(decapsulate(&mut packet, outer), expected.is_some());
                // Parsing checks the checksum.
                let class = Ipv4::parse(&packet).unwrap().traffic_class();
                assert_eq!(class, expected.map_or(inner, |mark| 0xb8 | mark as u8));
                let mut packet = six(inner);
                assert_eq!(decapsulate(&mut packet, outer), expected.is_some());
                let header = Ipv6::parse(&packet).unwrap();
                assert_eq!(
                    header.traffic_class(),
                    expected.map_or(inner, |mark| 0xb8 | mark as u8)
                );
                assert_eq!(header.flow_label(), 0xf_edcb);
            }
        }
    }

    #[test]
    fn nothing_is_left_of_bytes_that_are_no_header() {
        assert!(!decapsulate(&mut [0x45], 0));
    }

    proptest! {
        #[test]
        fn an_outer_header_has_the_inner_mark(inner: u8, dscp in prop::option::of(0u8..64)) {
            let outer = outer_traffic_class(inner, dscp);
            prop_assert_eq!(Ecn::of(outer), Ecn::of(inner));
            prop_assert_eq!(outer >> 2, dscp.unwrap_or(inner >> 2));
        }

        #[test]
        fn what_was_not_marked_on_its_way_comes_out_as_it_went_in(inner: u8) {
            let mut packet = four(inner);
            prop_assert!(decapsulate(&mut packet, outer_traffic_class(inner, None)) || inner & 3 == 0);
            prop_assert_eq!(packet, four(inner));
        }
    }
}
