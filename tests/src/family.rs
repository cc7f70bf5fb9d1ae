//! IPv4 and IPv6: what a test says of both, and the addresses that it says it with.

use crate::TwoHosts;

/// An address family, with the addresses of [`TwoHosts`] in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.choose("IPv4", "IPv6"))
    }
}

impl Family {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Ip4, Self::Ip6];

    /// The family of `address`, with or without a length; IPv4 for what is none.
    pub fn of(address: &str) -> Self {
        if address.contains(':') {
            Self::Ip6
        } else {
            Self::Ip4
        }
    }

    /// Whichever is this family's.
    pub fn choose<T>(self, ip4: T, ip6: T) -> T {
        match self {
            Self::Ip4 => ip4,
            Self::Ip6 => ip6,
        }
    }

    /// Address of host-a.
    pub fn address_a(self) -> &'static str {
        self.choose(TwoHosts::ADDRESS_A, "2001:db8:1::2")
    }

    /// Address of host-b.
    pub fn address_b(self) -> &'static str {
        self.choose(TwoHosts::ADDRESS_B, "2001:db8:2::2")
    }

    /// The gateway's address towards host-a.
    pub fn gateway_a(self) -> &'static str {
        self.choose(TwoHosts::GATEWAY_A, "2001:db8:1::1")
    }

    /// The gateway's address towards host-b.
    pub fn gateway_b(self) -> &'static str {
        self.choose(TwoHosts::GATEWAY_B, "2001:db8:2::1")
    }

    /// An address of host-b's subnet that nobody has.
    pub fn nobody(self) -> &'static str {
        self.choose("192.168.2.77", "2001:db8:2::77")
    }

    /// An address of host-a's subnet that nobody has, as long as a test gives it to nobody.
    pub fn spare_a(self) -> &'static str {
        self.choose("192.168.1.9", "2001:db8:1::9")
    }

    /// An address that no route leads to.
    pub fn nowhere(self) -> &'static str {
        self.choose("203.0.113.1", "2001:db8:ffff::1")
    }

    /// `address` with the length of the subnets of [`TwoHosts`].
    pub fn in_subnet(self, address: &str) -> String {
        format!("{address}/{}", self.choose(24, 64))
    }

    /// `ADDRESS:PORT`, the address in brackets where it has colons itself.
    pub fn socket(self, address: &str, port: u16) -> String {
        self.choose(format!("{address}:{port}"), format!("[{address}]:{port}"))
    }

    /// `address` as a prefix of its own.
    pub fn alone(self, address: &str) -> String {
        format!("{address}/{}", self.choose(32, 128))
    }
}

/// Makes two tests of each function named: `ip4::NAME` and `ip6::NAME`. The function takes a [`Family`].
#[macro_export]
macro_rules! both_families {
    ($($name:ident),+ $(,)?) => {
        mod ip4 {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::Family::Ip4);
                }
            )+
        }
        mod ip6 {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::Family::Ip6);
                }
            )+
        }
    };
}
