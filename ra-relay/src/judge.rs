//! What becomes of a packet: the first rule that fits says it.

use packet::ethernet::EthernetHeader;
use packet::{EtherType, Ipv4, Ipv6};
use router_alert::Family;
use router_alert::alert::{self, Alert, Settings, Unrecognized};
use router_alert::handler::Handler;
use router_alert::matching::{Key, Rules};
use router_alert::{rewrite, strip};

use crate::config::Config;

/// Rules and their handlers.
pub struct Judge {
    rules: Rules,
    handlers: Vec<Handler>,
    settings: Settings,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on as it came.
    Forward,
    /// What [`Judge::judge`] has written goes on in its place.
    Replace,
    /// It is dropped.
    Drop,
}

/// Why a packet was judged as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The rule of this number, in the order of the configuration.
    Rule(usize),
    /// The rule of this number, but what it wants cannot be done with this packet.
    Refused(usize),
    /// No rule fits, or there is no router alert in it.
    NoRule,
}

/// What was decided about a packet, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub cause: Cause,
    /// The value of its router alert, if it has one.
    pub value: Option<u16>,
    /// Where its IP header begins.
    pub network: usize,
}

impl Judge {
    /// The rules of a configuration; `index_of` knows the index of an interface by its name.
    pub fn new(config: &Config, index_of: impl Fn(&str) -> Option<u16>) -> Self {
        Self {
            rules: Rules::new(config.rules.iter().map(|(rule, _)| rule.clone()), index_of),
            handlers: config.rules.iter().map(|(_, handler)| handler.clone()).collect(),
            // Options that are not known are the primary's to judge.
            settings: Settings {
                unrecognized: Unrecognized::Skip,
                ..Settings::default()
            },
        }
    }

    /// What a rule does.
    pub fn handler(&self, rule: usize) -> Option<&Handler> {
        self.handlers.get(rule)
    }

    /// Judges a frame that came in by the interface of this index. Where the verdict is [`Verdict::Replace`], `out` is the frame that goes on.
    pub fn judge(&self, frame: &[u8], interface: u16, out: &mut Vec<u8>) -> Judgement {
        let Some((network, key)) = self.key(frame, interface) else {
            return Judgement {
                verdict: Verdict::Forward,
                cause: Cause::NoRule,
                value: None,
                network: 0,
            };
        };
        let judgement = |verdict, cause| Judgement {
            verdict,
            cause,
            value: Some(key.value),
            network,
        };
        let Some(rule) = self.rules.find(&key) else {
            return judgement(Verdict::Forward, Cause::NoRule);
        };
        let mut change = |change: &dyn Fn(&mut Vec<u8>) -> bool| {
            let Some(mut packet) = packet_of(frame, network) else {
                return false;
            };
            let changed = change(&mut packet);
            if changed {
                put_together(frame, network, &packet, out);
            }
            changed
        };
        let changed = match self.handler(rule) {
            // No file can say the others yet.
            None
            | Some(
                Handler::Relay | Handler::Log | Handler::Mirror(_) | Handler::Hold(_) | Handler::Helper(_),
            ) => {
                return judgement(Verdict::Forward, Cause::Rule(rule));
            }
            Some(Handler::Drop | Handler::DropProhibited) => {
                return judgement(Verdict::Drop, Cause::Rule(rule));
            }
            Some(Handler::Strip(how)) => change(&|packet| strip::strip(packet, *how).is_ok()),
            Some(Handler::Dscp(dscp)) => change(&|packet| rewrite::set_dscp(packet, *dscp).is_ok()),
        };
        if changed {
            judgement(Verdict::Replace, Cause::Rule(rule))
        } else {
            judgement(Verdict::Forward, Cause::Refused(rule))
        }
    }

    /// Where the IP header is, and what rules look at. `None` for what has no router alert.
    fn key(&self, frame: &[u8], interface: u16) -> Option<(usize, Key)> {
        let (link, packet) = EthernetHeader::parse(frame).ok()?;
        let Alert { value, protocol, .. } = alert::find(packet, &self.settings).ok()??;
        let (family, source, destination) = match link.ethertype {
            EtherType::IPV4 => {
                let header = Ipv4::parse(packet).ok()?;
                (Family::Four, header.source().into(), header.destination().into())
            }
            EtherType::IPV6 => {
                let header = Ipv6::parse(packet).ok()?;
                (Family::Six, header.source().into(), header.destination().into())
            }
            _ => return None,
        };
        let key = Key {
            family,
            value,
            protocol,
            interface,
            source,
            destination,
        };
        Some((link.len(), key))
    }
}

/// The IP packet of a frame, without what the link padded it with.
fn packet_of(frame: &[u8], network: usize) -> Option<Vec<u8>> {
    let packet = frame.get(network..)?;
    let length = match packet.first()? >> 4 {
        4 => usize::from(Ipv4::parse(packet).ok()?.total_len()),
        _ => Ipv6::parse(packet).ok()?.total_len(),
    };
    packet.get(..length).map(<[u8]>::to_vec)
}

/// A frame with another packet in it.
fn put_together(frame: &[u8], network: usize, packet: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(frame.get(..network).unwrap_or_default());
    out.extend_from_slice(packet);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use packet::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    const LAN: u16 = 0;
    const WAN: u16 = 1;

    fn judge(rules: &str) -> Judge {
        let index_of = |name: &str| ["lan", "wan"].iter().position(|known| *known == name);
        let config = Config::read(rules, Path::new("ra.toml")).unwrap();
        Judge::new(&config, |name| index_of(name).map(|index| index as u16))
    }

    fn rule(name: &str, more: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\n{more}\n")
    }

    /// In a frame with one tag, and padding behind it.
    fn frame(value: u16) -> Vec<u8> {
        let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        let packet = PacketBuilder::ipv6(host, peer)
            .router_alert(value)
            .udp(1, 2, b"hello");
        let link = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 100, 0x86, 0xdd];
        [&link[..], &packet, &[0; 7]].concat()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            rule(
                "other side",
                "values = \"any\"\ninterface = \"wan\"\nhandler = \"drop\"",
            ),
            rule("four", "values = \"any\"\nfamily = \"ipv4\"\nhandler = \"drop\""),
            rule("five", "values = \"5\"\nhandler = \"log\""),
            rule("urgent", "priority = 9\nvalues = \"6\"\nhandler = \"relay\""),
            rule(
                "rest",
                "values = \"5-7\"\nsource = \"2001:db8::/48\"\nhandler = \"drop\"",
            ),
        ]
        .concat();
        let judge = judge(&rules);
        let mut out = Vec::new();
        for (value, verdict, cause) in [
            (4, Verdict::Forward, Cause::NoRule),
            (5, Verdict::Forward, Cause::Rule(2)),
            (6, Verdict::Forward, Cause::Rule(3)),
            (7, Verdict::Drop, Cause::Rule(4)),
        ] {
            let judgement = judge.judge(&frame(value), LAN, &mut out);
            assert_eq!((judgement.verdict, judgement.cause), (verdict, cause), "{value}");
            assert_eq!((judgement.value, judgement.network), (Some(value), 18));
        }
        assert_eq!(judge.judge(&frame(5), WAN, &mut out).cause, Cause::Rule(0));
    }

    #[test]
    fn what_goes_on_changed_keeps_its_link_header_and_loses_the_padding() {
        let frame = frame(5);
        let mut out = vec![1, 2, 3];
        let judge = judge(&rule("strip", "values = \"5\"\nhandler = \"strip\""));
        assert_eq!(judge.judge(&frame, LAN, &mut out).verdict, Verdict::Replace);
        assert_eq!(out.len(), frame.len() - 8 - 7);
        assert_eq!(out[..18], frame[..18]);
        assert_eq!((out[18 + 6], &out[out.len() - 5..]), (17, &b"hello"[..]));
    }

    #[test]
    fn what_cannot_be_changed_as_the_rule_wants_goes_on_as_it_came() {
        let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        // RFC 4302: an authentication header covers the option.
        let packet = PacketBuilder::ipv6(host, peer).router_alert(5).payload(
            packet::Protocol(51),
            &[
                17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        );
        let link = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
        let judge = judge(&rule("strip", "values = \"5\"\nhandler = \"strip\""));
        let judgement = judge.judge(&[&link[..], &packet].concat(), LAN, &mut Vec::new());
        assert_eq!(
            (judgement.verdict, judgement.cause),
            (Verdict::Forward, Cause::Refused(0))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(mut bytes in prop::collection::vec(any::<u8>(), 0..120), six: bool) {
            let ethertype = if six { [0x86, 0xdd] } else { [8, 0] };
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&ethertype);
            }
            let rules = judge(&rule("strip", "values = \"any\"\nhandler = \"strip\""));
            rules.judge(&bytes, LAN, &mut Vec::new());
        }
    }
}
