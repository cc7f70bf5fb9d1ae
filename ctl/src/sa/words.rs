//! SAs in words.
//!
//! ```text
//!   spi N in|out src ADDR dst ADDR [tunnel NAME] [mode tunnel|transport] transform NAME keys FILE|- [esn] [window N]
//!        [seq N] [udp SPORT:DPORT [keepalive N]] [soft|hard bytes|packets|seconds N]... [sel ...]...
//! ```

use std::collections::HashSet;
use std::net::IpAddr;

use control::message::{Sa, SaDirection, SaId, SaLifetime, SaMode};

use super::selector::Draft;
use crate::words::{Words, parse};

/// How an SA is written, for messages.
pub(super) const FORM: &str = "spi N in|out src ADDR dst ADDR [tunnel NAME] [mode tunnel|transport] transform NAME keys FILE|- [esn] \
                               [window N] [seq N] [udp SPORT:DPORT [keepalive N]] [soft|hard bytes|packets|seconds N]... [sel [src RANGE] \
                               [dst RANGE] [proto PROTO] [sport N[-M]|opaque] [dport N[-M]|opaque] [type T[/CODE]]]...";
/// How it is written which one is meant.
pub(super) const ID_FORM: &str = "spi N dst ADDR";

/// An SA as it was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) sa: Sa,
    /// Where its keys are.
    pub(super) keys: String,
    /// The last sequence number that was used before.
    pub(super) sequence: u64,
}

/// Reads an SA.
pub(super) fn sa(words: &[String]) -> Result<Written, String> {
    let mut words = Words::new(words);
    let (mut id, mut source, mut direction) = (IdDraft::default(), None, None);
    let (mut tunnel, mut mode, mut transform, mut keys) = (None, SaMode::Tunnel, None, None);
    let (mut esn, mut window, mut sequence, mut udp, mut keepalive) = (false, None, 0, None, None);
    let (mut soft, mut hard) = (SaLifetime::default(), SaLifetime::default());
    let mut drafts: Vec<Draft> = Vec::new();
    let mut seen = HashSet::new();
    while let Some(word) = words.next_if_any() {
        if word == "sel" {
            drafts.push(Draft::default());
            continue;
        }
        // Behind 'sel' these are of the packets inside.
        if let Some(draft) = drafts.last_mut()
            && draft.take(word, &mut words)?
        {
            continue;
        }
        let once = match word {
            "soft" | "hard" => {
                let unit = words.next("'bytes', 'packets' or 'seconds'")?;
                let lifetime = if word == "soft" { &mut soft } else { &mut hard };
                *limit(lifetime, unit)? = Some(parse(words.next("the lifetime")?, "a whole number")?);
                format!("{word} {unit}")
            }
            _ => word.to_owned(),
        };
        if !seen.insert(once.clone()) {
            return Err(format!("'{once}' stands there twice"));
        }
        match word {
            "soft" | "hard" => {}
            "spi" | "dst" => id.take(word, &mut words)?,
            "in" | "out" if direction.is_none() => direction = Some(word.parse::<SaDirection>()?),
            "in" | "out" => return Err("both 'in' and 'out' stand there".to_owned()),
            "src" => source = Some(address(words.next("the source")?)?),
            "tunnel" => tunnel = Some(words.next("the tunnel")?.to_owned()),
            "mode" => mode = words.next("the mode")?.parse()?,
            "transform" => transform = Some(words.next("the transform")?.to_owned()),
            "keys" => keys = Some(words.next("the file of the keys")?.to_owned()),
            "esn" => esn = true,
            "window" => {
                window = Some(parse(
                    words.next("the window")?,
                    "a window from 32 to 4096, or 0",
                )?)
            }
            "keepalive" => {
                keepalive = Some(parse(
                    words.next("the seconds")?,
                    "a number of seconds from 0 to 255",
                )?)
            }
            "seq" => sequence = parse(words.next("the sequence number")?, "a whole number")?,
            "udp" => udp = Some(ports(words.next("the ports")?)?),
            other => {
                return Err(format!(
                    "'{other}' stands where 'transform', 'keys' or another keyword is expected"
                ));
            }
        }
    }
    let direction = direction.ok_or("'in' or 'out' is missing")?;
    if direction == SaDirection::Out && window.is_some() {
        return Err("'window' is for SAs that come in".to_owned());
    }
    if keepalive.is_some() && (direction == SaDirection::In || udp.is_none()) {
        return Err("'keepalive' is for SAs that go out in UDP".to_owned());
    }
    let SaId { destination, spi } = id.whole()?;
    let sa = Sa {
        spi,
        direction,
        tunnel,
        mode,
        source: source.ok_or("'src' is missing")?,
        destination,
        transform: transform.ok_or("'transform' is missing")?,
        esn,
        window: window.unwrap_or(Sa::DEFAULT_WINDOW),
        udp,
        keepalive: keepalive.unwrap_or(Sa::DEFAULT_KEEPALIVE),
        selectors: drafts
            .into_iter()
            .map(Draft::selector)
            .collect::<Result<_, _>>()?,
        soft,
        hard,
    };
    control::sas::check(&sa).map_err(|error| error.to_string())?;
    control::sas::check_sequence(&sa, sequence).map_err(|error| error.to_string())?;
    let keys = keys.ok_or("'keys' is missing")?;
    Ok(Written { sa, keys, sequence })
}

/// Reads which SA is meant.
pub(super) fn id(words: &[String]) -> Result<SaId, String> {
    let mut words = Words::new(words);
    let mut id = IdDraft::default();
    while let Some(word) = words.next_if_any() {
        match word {
            "spi" | "dst" => id.take(word, &mut words)?,
            other => return Err(format!("'{other}' stands where 'spi' or 'dst' is expected")),
        }
    }
    id.whole()
}

/// What an SA is known by, as far as it was read.
#[derive(Default)]
struct IdDraft {
    spi: Option<u32>,
    destination: Option<IpAddr>,
}

impl IdDraft {
    /// Takes what follows the word.
    fn take(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), String> {
        match word {
            "spi" => self.spi = Some(spi(words.next("the SPI")?)?),
            _ => self.destination = Some(address(words.next("the destination")?)?),
        }
        Ok(())
    }

    fn whole(self) -> Result<SaId, String> {
        Ok(SaId {
            destination: self.destination.ok_or("'dst' is missing")?,
            spi: self.spi.ok_or("'spi' is missing")?,
        })
    }
}

/// As the table shows it, or as a decimal number.
fn spi(word: &str) -> Result<u32, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("'{word}' is not an SPI such as 0x1000"))
}

fn address(word: &str) -> Result<IpAddr, String> {
    parse(word, "an address such as 192.0.2.1 or 2001:db8::1")
}

fn ports(word: &str) -> Result<(u16, u16), String> {
    let parsed = word
        .split_once(':')
        .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parsed.ok_or_else(|| format!("'{word}' is not a pair of ports such as 4500:4500"))
}

/// The limit of that unit.
fn limit<'a>(lifetime: &'a mut SaLifetime, unit: &str) -> Result<&'a mut Option<u64>, String> {
    match unit {
        "bytes" => Ok(&mut lifetime.bytes),
        "packets" => Ok(&mut lifetime.packets),
        "seconds" => Ok(&mut lifetime.seconds),
        other => Err(format!(
            "'{other}' stands where 'bytes', 'packets' or 'seconds' is expected"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::Selector;

    fn split(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    const LEAST: &str = "spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 transform aes128gcm16 keys in.key";

    #[test]
    fn an_sa_has_what_the_words_say() {
        let Written {
            sa: least,
            keys,
            sequence,
        } = sa(&split(LEAST)).unwrap();
        let expected = Sa {
            spi: 0x1000,
            direction: SaDirection::In,
            tunnel: None,
            mode: SaMode::Tunnel,
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            transform: "aes128gcm16".into(),
            esn: false,
            window: 1024,
            udp: None,
            keepalive: Sa::DEFAULT_KEEPALIVE,
            selectors: vec![],
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        };
        assert_eq!((&least, keys.as_str(), sequence), (&expected, "in.key", 0));

        let Written { sa: off, .. } = sa(&split(&format!("{LEAST} window 0"))).unwrap();
        assert_eq!((off.window, off.esn), (0, false));

        let all = "out spi 4097 dst 192.0.2.1 src 198.51.100.1 tunnel ipsec0 mode transport esn seq 1099511627776 udp 4500:4501 keepalive 7 soft seconds 10 \
                   hard seconds 20 hard bytes 7 soft packets 3 keys - transform null-sha256 \
                   sel src 10.0.0.0/8 dst 10.9.0.1 proto udp dport 53 sel dst 10.1.0.0-10.1.0.9 hard packets 9";
        let Written {
            sa: all,
            keys,
            sequence,
        } = sa(&split(all)).unwrap();
        assert_eq!((keys.as_str(), sequence), ("-", 1 << 40));
        let selectors = all.selectors.len();
        assert_eq!(
            Sa {
                selectors: vec![],
                ..all.clone()
            },
            Sa {
                spi: 4097,
                direction: SaDirection::Out,
                tunnel: Some("ipsec0".into()),
                mode: SaMode::Transport,
                transform: "null-sha256".into(),
                esn: true,
                udp: Some((4500, 4501)),
                keepalive: 7,
                soft: SaLifetime {
                    bytes: None,
                    packets: Some(3),
                    seconds: Some(10),
                },
                hard: SaLifetime {
                    bytes: Some(7),
                    packets: Some(9),
                    seconds: Some(20),
                },
                ..expected
            }
        );
        assert_eq!(selectors, 2);
        let first = Selector {
            source: ([10, 0, 0, 0].into(), [10, 255, 255, 255].into()),
            destination: ([10, 9, 0, 1].into(), [10, 9, 0, 1].into()),
            protocol: Some(17),
            source_ports: Selector::ANY_PORT,
            destination_ports: (53, 53),
        };
        assert_eq!(all.selectors[0], first);
    }

    #[test]
    fn what_is_no_sa_is_refused_with_what_is_wrong() {
        for (more, said) in [
            ("spi 7", "'spi' stands there twice"),
            ("out", "both 'in' and 'out' stand there"),
            ("widow 64", "'widow' stands where 'transform', 'keys' or"),
            ("window", "the window is missing"),
            ("window many", "'many' is not a window from 32 to 4096, or 0"),
            ("window 16", "a window of 16 cannot be"),
            ("seq", "the sequence number is missing"),
            (
                "seq 4294967296",
                "whose numbers have 32 bits: use 0 to 4294967295, or give it 'esn'",
            ),
            (
                "esn window 0",
                "has extended sequence numbers, which a window of 0 cannot follow",
            ),
            (
                "mode tunel",
                "'tunel' is no mode of an SA: use tunnel or transport",
            ),
            ("udp 4500", "'4500' is not a pair of ports such as 4500:4500"),
            ("keepalive 9", "'keepalive' is for SAs that go out in UDP"),
            (
                "udp 4500:4500 keepalive 9",
                "'keepalive' is for SAs that go out in UDP",
            ),
            ("keepalive 256", "'256' is not a number of seconds from 0 to 255"),
            ("soft", "'bytes', 'packets' or 'seconds' is missing"),
            (
                "soft days 3",
                "'days' stands where 'bytes', 'packets' or 'seconds'",
            ),
            ("soft bytes 3 soft bytes 4", "'soft bytes' stands there twice"),
            ("soft bytes 3G", "'3G' is not a whole number"),
            ("soft bytes 5 hard bytes 5", "make 'soft' less than 'hard'"),
            ("sel", "a selector has neither 'src' nor 'dst'"),
            ("tunnel a/very/long/name", "is no tunnel: the SA with SPI"),
        ] {
            let words = format!("{LEAST} {more}");
            let refused = sa(&split(&words)).unwrap_err();
            assert!(refused.contains(said), "{words}: {refused}");
        }
        for (word, missing) in [
            ("spi 0x1000", "'spi' is missing"),
            ("in", "'in' or 'out' is missing"),
            ("src 198.51.100.1", "'src' is missing"),
            ("dst 192.0.2.1", "'dst' is missing"),
            ("transform aes128gcm16", "'transform' is missing"),
            ("keys in.key", "'keys' is missing"),
        ] {
            let words = LEAST.replacen(word, "", 1);
            assert_eq!(sa(&split(&words)).unwrap_err(), missing);
        }
        for (from, to, said) in [
            ("0x1000", "0xg", "'0xg' is not an SPI such as 0x1000"),
            ("0x1000", "4294967296", "'4294967296' is not an SPI"),
            ("0x1000", "255", "255 is no SPI of an SA"),
            ("192.0.2.1", "192.0.2", "'192.0.2' is not an address such as"),
            ("192.0.2.1", "2001:db8::1", "use addresses of one family"),
            ("in src", "out window 64 src", "'window' is for SAs that come in"),
        ] {
            let words = LEAST.replacen(from, to, 1);
            let refused = sa(&split(&words)).unwrap_err();
            assert!(refused.contains(said), "{words}: {refused}");
        }
    }

    #[test]
    fn an_sa_is_known_by_spi_and_destination() {
        let expected = SaId {
            destination: [192, 0, 2, 1].into(),
            spi: 4096,
        };
        for words in ["spi 0x1000 dst 192.0.2.1", "dst 192.0.2.1 spi 4096"] {
            assert_eq!(id(&split(words)), Ok(expected));
        }
        for (words, said) in [
            ("spi 4096", "'dst' is missing"),
            ("dst 192.0.2.1", "'spi' is missing"),
            ("4096", "'4096' stands where 'spi' or 'dst' is expected"),
        ] {
            assert_eq!(id(&split(words)), Err(said.to_owned()));
        }
    }
}
