//! The words of `tunnel add` and `tunnel set`, as in ip-tunnel(8) where that has them.

use std::net::IpAddr;

use control::message::{Tunnel, TunnelChange};

use crate::words::{Words, parse};

/// What stands behind `tunnel add`.
pub(super) const ADD: &str = "NAME mode ipip|gre|esp local ADDR remote ADDR [key N] [protected] [mtu BYTES] [ttl N] \
                              [df copy|set|clear] [dscp copy|N] [unnumbered|dev IFACE]";
/// What stands behind `tunnel set`.
pub(super) const SET: &str = "NAME [mode ipip|gre|esp] [local ADDR] [remote ADDR] [key N|none] [protected on|off] \
                              [mtu BYTES|auto] [ttl N] [df copy|set|clear] [dscp copy|N] [unnumbered|dev IFACE|numbered]";

/// The tunnel that `tunnel add` is to make.
pub(super) fn tunnel(words: &[String]) -> Result<Tunnel, String> {
    let parsed = || {
        let (name, change) = read(words)?;
        let needed = |what| move || format!("'{what}' is missing");
        let new = Tunnel::new(
            name,
            change.mode.ok_or_else(needed("mode ipip|gre|esp"))?,
            change.local.ok_or_else(needed("local ADDR"))?,
            change.remote.ok_or_else(needed("remote ADDR"))?,
        );
        Ok(change.apply(&new))
    };
    parsed().map_err(|error: String| format!("{error}: write {ADD}"))
}

/// What `tunnel set` is to change, and of which tunnel.
pub(super) fn change(words: &[String]) -> Result<(String, TunnelChange), String> {
    let parsed = || match read(words)? {
        (name, change) if change == TunnelChange::default() => {
            Err(format!("nothing is said of what is to be different about {name}"))
        }
        read => Ok(read),
    };
    parsed().map_err(|error| format!("{error}: write {SET}"))
}

fn read(words: &[String]) -> Result<(String, TunnelChange), String> {
    let mut words = Words::new(words);
    let name = words.next("the name")?.to_owned();
    let mut change = TunnelChange::default();
    while let Some(word) = words.next_if_any() {
        match word {
            "mode" => change.mode = Some(words.next("the mode")?.parse()?),
            "local" => change.local = Some(address(words.next("the local end")?)?),
            "remote" => change.remote = Some(address(words.next("the remote end")?)?),
            "key" => {
                change.key = Some(match words.next("the key")? {
                    "none" => None,
                    key => Some(parse(key, "a key from 0 to 4294967295")?),
                });
            }
            "protected" => change.protected = Some(words.next_of(&["on", "off"]) != Some("off")),
            "mtu" => {
                change.mtu = Some(match words.next("the MTU")? {
                    "auto" => None,
                    mtu => Some(parse(mtu, "a number of bytes")?),
                });
            }
            "ttl" | "hoplimit" => change.ttl = Some(parse(words.next("the TTL")?, "a number from 1 to 255")?),
            "df" => change.df = Some(words.next("the DF bit")?.parse()?),
            "dscp" => change.dscp = Some(words.next("the DSCP")?.parse()?),
            // ip-tunnel(8) names the interface of outer packets by 'dev'. Those go by the route to the remote end here, and what is
            // left for it to say is whose addresses the tunnel uses.
            "unnumbered" | "dev" => {
                let interface = words.next("the interface")?;
                if let Some(Some(other)) = change.unnumbered.replace(Some(interface.to_owned()))
                    && other != interface
                {
                    return Err(format!(
                        "'unnumbered' and 'dev' both say whose addresses the tunnel uses, and here they are those of {other} and of \
                         {interface}: name one"
                    ));
                }
            }
            "numbered" => change.unnumbered = Some(None),
            other => {
                return Err(format!(
                    "'{other}' stands where a word such as 'local' is expected"
                ));
            }
        }
    }
    Ok((name, change))
}

fn address(word: &str) -> Result<IpAddr, String> {
    parse(
        word,
        "an address such as 192.0.2.1 or 2001:db8::1, without a length",
    )
}

#[cfg(test)]
mod tests {
    use control::message::{Df, Dscp, TunnelMode};

    use super::*;

    fn split(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_tunnel_is_written_as_ip_tunnel_has_it() {
        let (local, remote) = ("192.0.2.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let plain = Tunnel::new("t0", TunnelMode::Ipip, local, remote);
        let full = Tunnel {
            mode: TunnelMode::Gre,
            key: Some(u32::MAX),
            protected: true,
            mtu: Some(1400),
            ttl: 9,
            df: Df::Set,
            dscp: Dscp::Fixed(46),
            unnumbered: Some("wan".into()),
            ..plain.clone()
        };
        assert_eq!(
            tunnel(&split("t0 mode ipip remote 198.51.100.1 local 192.0.2.1")),
            Ok(plain)
        );
        // As it is printed.
        assert_eq!(tunnel(&split(&full.to_string())), Ok(full));
    }

    #[test]
    fn dev_says_whose_addresses_it_uses() {
        let ends = "t0 mode esp local 192.0.2.1 remote 198.51.100.1";
        let by_dev = tunnel(&split(&format!("{ends} dev wan"))).unwrap();
        assert_eq!(by_dev.unnumbered.as_deref(), Some("wan"));
        for words in [
            "unnumbered wan",
            "dev wan unnumbered wan",
            "unnumbered wan dev wan",
        ] {
            assert_eq!(
                tunnel(&split(&format!("{ends} {words}"))).as_ref(),
                Ok(&by_dev),
                "{words}"
            );
        }
        let (_, said) = change(&split("t0 dev lan")).unwrap();
        assert_eq!(said.unnumbered, Some(Some("lan".into())));
    }

    #[test]
    fn a_change_says_only_what_is_different() {
        let (name, said) = change(&split("t0 key none protected off mtu auto numbered ttl 1")).unwrap();
        let wanted = TunnelChange {
            key: Some(None),
            protected: Some(false),
            mtu: Some(None),
            ttl: Some(1),
            unnumbered: Some(None),
            ..TunnelChange::default()
        };
        assert_eq!((name.as_str(), said), ("t0", wanted));
        for words in ["t0 protected on", "t0 protected"] {
            assert_eq!(change(&split(words)).unwrap().1.protected, Some(true), "{words}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let ends = "local 192.0.2.1 remote 198.51.100.1";
        for (words, said) in [
            ("", "the name is missing"),
            ("t0 mode gre local 192.0.2.1", "'remote ADDR' is missing"),
            ("t0 mode gre remote 192.0.2.1", "'local ADDR' is missing"),
            (&format!("t0 {ends}"), "'mode ipip|gre|esp' is missing"),
            (&format!("t0 mode sit {ends}"), "'sit' is no mode of tunnels"),
            (&format!("t0 mode gre {ends} key x"), "'x' is not a key"),
            (&format!("t0 mode gre {ends} key 4294967296"), "is not a key"),
            (&format!("t0 mode gre {ends} dscp 64"), "'64' is no DSCP"),
            (&format!("t0 mode gre {ends} df no"), "use copy, set or clear"),
            (
                &format!("t0 mode gre {ends} ttl 256"),
                "'256' is not a number from 1 to 255",
            ),
            (
                &format!("t0 mode gre {ends} dev wan unnumbered lan"),
                "are those of wan and of lan: name one",
            ),
            (&format!("t0 mode gre {ends} dev"), "the interface is missing"),
            (&format!("t0 mode gre {ends} more"), "'more' stands where"),
            (
                "t0 mode gre local 192.0.2.1/24",
                "'192.0.2.1/24' is not an address",
            ),
        ] {
            let error = tunnel(&split(words)).unwrap_err();
            assert!(error.contains(said) && error.ends_with(ADD), "{words}: {error}");
        }
        for (words, said) in [("t0", "nothing is said"), ("t0 mtu", "the MTU is missing")] {
            let error = change(&split(words)).unwrap_err();
            assert!(error.contains(said) && error.ends_with(SET), "{words}: {error}");
        }
    }
}
