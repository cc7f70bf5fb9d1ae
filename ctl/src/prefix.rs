//! Prefixes as `ip` takes them, and the family that is meant by `default`.

use std::net::IpAddr;
use std::str::FromStr;

use clap::Args;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::words::parse;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// That of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// As sentences have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        }
    }
}

/// The options that choose a family, spelt as those of `ip`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct FamilyArguments {
    /// Only IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Only IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
}

impl FamilyArguments {
    /// The one that is asked for.
    pub(crate) fn family(self) -> Option<Family> {
        if self.ipv4 {
            Some(Family::Ipv4)
        } else {
            self.ipv6.then_some(Family::Ipv6)
        }
    }
}

/// A prefix, or the word for all addresses of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Default,
    Net(IpNet),
}

impl Prefix {
    /// The prefix, `default` being that of the family, and of IPv4 where none is said. A prefix of another family is
    /// returned as the error.
    pub(crate) fn within(self, family: Option<Family>) -> Result<IpNet, IpNet> {
        match self {
            Self::Default if family == Some(Family::Ipv6) => Ok(Ipv6Net::default().into()),
            Self::Default => Ok(Ipv4Net::default().into()),
            Self::Net(net) if family.is_some_and(|family| family != Family::of(net.addr())) => Err(net),
            Self::Net(net) => Ok(net),
        }
    }
}

impl FromStr for Prefix {
    type Err = String;

    /// An address without a length is itself alone.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self::Default);
        }
        let prefix = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => parse(
                text,
                "a prefix such as 10.1.0.0/16 or 2001:db8:1::/48, nor 'default'",
            )?,
        };
        if prefix.trunc() != prefix {
            return Err(format!(
                "'{text}' has bits set behind its length; {} has not",
                prefix.trunc()
            ));
        }
        Ok(Self::Net(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn default_is_of_ipv4_unless_another_family_is_asked_for() {
        let default = |family| Prefix::Default.within(family).unwrap().to_string();
        assert_eq!(default(None), "0.0.0.0/0");
        assert_eq!(default(Some(Family::Ipv4)), "0.0.0.0/0");
        assert_eq!(default(Some(Family::Ipv6)), "::/0");
    }

    #[test]
    fn a_prefix_keeps_its_family() {
        let net = "2001:db8::/32".parse().unwrap();
        assert_eq!(Prefix::Net(net).within(None), Ok(net));
        assert_eq!(Prefix::Net(net).within(Some(Family::Ipv6)), Ok(net));
        assert_eq!(Prefix::Net(net).within(Some(Family::Ipv4)), Err(net));
    }

    #[test]
    fn an_address_alone_is_itself() {
        for (text, prefix) in [("10.1.2.3", "10.1.2.3/32"), ("2001:DB8:0::1", "2001:db8::1/128")] {
            assert_eq!(text.parse(), Ok(Prefix::Net(prefix.parse().unwrap())));
        }
        let message = "2001:db8::1/32".parse::<Prefix>().unwrap_err();
        assert!(message.ends_with("2001:db8::/32 has not"), "{message}");
    }

    proptest! {
        #[test]
        fn every_prefix_comes_back(bits: u128, length in 0..=128u8) {
            let six = Ipv6Net::new(bits.into(), length).unwrap().trunc();
            prop_assert_eq!(six.to_string().parse(), Ok(Prefix::Net(six.into())));
            let four = Ipv4Net::new((bits as u32).into(), length % 33).unwrap().trunc();
            prop_assert_eq!(four.to_string().parse(), Ok(Prefix::Net(four.into())));
        }
    }
}
