//! Explicit congestion notification through a tunnel (RFC 6040): the outer header gets what the inner one has, and what happened to
//! it on the way is brought to the inner one at the end.

/// The ECN field: the two lowest bits of the traffic class (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ecn {
    /// The ends know no ECN.
    NotEct = 0b00,
    /// ECN-capable transport, ECT(1).
    Ect1 = 0b01,
    /// ECN-capable transport, ECT(0).
    Ect0 = 0b10,
    /// Congestion was experienced.
    Ce = 0b11,
}

/// The bits of a traffic class that are ECN.
const MASK: u8 = 0b11;

impl Ecn {
    /// That of a traffic class, or of an IPv4 type of service.
    #[inline]
    pub const fn of(traffic_class: u8) -> Ecn {
        match traffic_class & MASK {
            0b00 => Ecn::NotEct,
            0b01 => Ecn::Ect1,
            0b10 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }

    /// `traffic_class` with this in it.
    #[inline]
    pub const fn put_into(self, traffic_class: u8) -> u8 {
        traffic_class & !MASK | self as u8
    }

    /// What a packet with this inside gets when its tunnel ends with `outer` outside (RFC 6040 §4.2, figure 4). `None`: it is
    /// dropped, as there was congestion and its ends would not understand the mark.
    #[inline]
    pub const fn leaving(self, outer: Ecn) -> Option<Ecn> {
        match (self, outer) {
            (Ecn::NotEct, Ecn::Ce) => None,
            (Ecn::NotEct, _) => Some(Ecn::NotEct),
            (Ecn::Ce, _) | (_, Ecn::Ce) => Some(Ecn::Ce),
            (Ecn::Ect1, _) | (_, Ecn::Ect1) => Some(Ecn::Ect1),
            (Ecn::Ect0, Ecn::NotEct | Ecn::Ect0) => Some(Ecn::Ect0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decapsulation_is_the_table_of_rfc_6040_figure_4() {
        use Ecn::{Ce, Ect0, Ect1, NotEct};
        let outer = [NotEct, Ect0, Ect1, Ce];
        let table = [
            (NotEct, [Some(NotEct), Some(NotEct), Some(NotEct), None]),
            (Ect0, [Some(Ect0), Some(Ect0), Some(Ect1), Some(Ce)]),
            (Ect1, [Some(Ect1), Some(Ect1), Some(Ect1), Some(Ce)]),
            (Ce, [Some(Ce), Some(Ce), Some(Ce), Some(Ce)]),
        ];
        for (inner, expected) in table {
            assert_eq!(outer.map(|outer| inner.leaving(outer)), expected, "{inner:?}");
        }
    }

    #[test]
    fn only_the_two_lowest_bits_are_ecn() {
        for traffic_class in 0..=u8::MAX {
            assert_eq!(Ecn::of(traffic_class) as u8, traffic_class & 3);
            for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
                let put = ecn.put_into(traffic_class);
                assert_eq!((Ecn::of(put), put >> 2), (ecn, traffic_class >> 2));
            }
        }
    }
}
