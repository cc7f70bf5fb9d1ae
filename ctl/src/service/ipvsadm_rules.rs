//! What `ipvsadm -S -n` writes and scripts give it, read as rules: `-A`, `-a` and `--add-laddr` with the options that are
//! Full-NAT's. What has no meaning here is refused, not passed over.

use std::net::IpAddr;
use std::str::FromStr;

use control::message::{RealServer, Scheduler, ServiceId, ServiceOptions, ServiceProtocol};

use super::rules::Rule;
use super::words::{self, End};

/// Options by their letter and their name, and whether a value follows.
const OPTIONS: &[(char, &str, bool)] = &[
    ('A', "add-service", false),
    ('a', "add-server", false),
    ('P', "add-laddr", false),
    ('t', "tcp-service", true),
    ('u', "udp-service", true),
    ('q', "icmp-service", true),
    ('1', "icmpv6-service", true),
    ('s', "scheduler", true),
    ('r', "real-server", true),
    ('b', "fullnat", false),
    ('w', "weight", true),
    ('x', "u-threshold", true),
    ('z', "local-address", true),
    ('F', "ifname", true),
    ('Y', "hash-target", true),
    ('T', "conn-timeout", true),
    ('n', "numeric", false),
    // What these ask for is not there, which says more than that they are unknown.
    ('g', "gatewaying", false),
    ('i', "ipip", false),
    ('m', "masquerading", false),
    ('J', "snat", false),
];

/// What a line asks for.
#[derive(Debug, Default)]
struct Said<'a> {
    command: Option<char>,
    service: Option<(ServiceProtocol, &'a str)>,
    scheduler: Option<&'a str>,
    server: Option<&'a str>,
    full_nat: bool,
    weight: Option<&'a str>,
    most: Option<&'a str>,
    local: Option<&'a str>,
    interface: Option<&'a str>,
    timeout: Option<&'a str>,
}

/// The rule in the words behind `ipvsadm`.
pub(super) fn parse(words: &[&str]) -> Result<Rule, String> {
    let mut said = Said::default();
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let (letter, _, has_value) = known(|option| option.1 == name, word)?;
            let value = match (has_value, value) {
                (true, None) => Some(
                    words
                        .next()
                        .ok_or_else(|| format!("the value of '{word}' is missing"))?,
                ),
                (false, Some(_)) => return Err(format!("'--{name}' has no value")),
                (_, value) => value,
            };
            said.take(letter, value.unwrap_or_default())?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (at, letter) in letters.char_indices() {
                let (letter, _, has_value) = known(|option| option.0 == letter, &format!("-{letter}"))?;
                if !has_value {
                    said.take(letter, "")?;
                    continue;
                }
                // What is left of the word is the value, or else it is the next one.
                let value = match &letters[at + letter.len_utf8()..] {
                    "" => words
                        .next()
                        .ok_or_else(|| format!("the value of '-{letter}' is missing"))?,
                    rest => rest,
                };
                said.take(letter, value)?;
                break;
            }
        } else if word == "(null)" {
            // DPVS's own tool saves Full-NAT as this.
            said.full_nat = true;
        } else {
            return Err(format!("'{word}' is one word too many"));
        }
    }
    said.rule()
}

fn known(is: impl Fn(&(char, &str, bool)) -> bool, word: &str) -> Result<(char, &'static str, bool), String> {
    OPTIONS.iter().copied().find(is).ok_or_else(|| {
        format!(
            "'{word}' is not taken: -A with -t|-u|-q|-1 and -s; -a with -r, -b, -w and -x; --add-laddr with -z and -F are"
        )
    })
}

impl<'a> Said<'a> {
    fn take(&mut self, letter: char, value: &'a str) -> Result<(), String> {
        let twice = match letter {
            'A' | 'a' | 'P' => self.command.replace(letter).is_some(),
            't' => self.service.replace((ServiceProtocol::Tcp, value)).is_some(),
            'u' => self.service.replace((ServiceProtocol::Udp, value)).is_some(),
            'q' => self.service.replace((ServiceProtocol::Icmp, value)).is_some(),
            '1' => self.service.replace((ServiceProtocol::Icmpv6, value)).is_some(),
            's' => self.scheduler.replace(value).is_some(),
            'r' => self.server.replace(value).is_some(),
            'w' => self.weight.replace(value).is_some(),
            'x' => self.most.replace(value).is_some(),
            'z' => self.local.replace(value).is_some(),
            'F' => self.interface.replace(value).is_some(),
            'T' => self.timeout.replace(value).is_some(),
            'b' => std::mem::replace(&mut self.full_nat, true),
            'Y' if value != "sip" => {
                return Err(format!(
                    "'-Y {value}' is not there: servers are chosen by the client's address, '-Y sip'"
                ));
            }
            'g' | 'i' | 'm' | 'J' => {
                return Err(format!(
                    "'-{letter}' is not there: servers are reached by Full-NAT, '-b'"
                ));
            }
            _ => false,
        };
        if twice {
            return Err(format!(
                "'-{letter}' contradicts what stands before it: write one"
            ));
        }
        Ok(())
    }

    fn rule(self) -> Result<Rule, String> {
        let id = self.id()?;
        let command = self.command.ok_or("one of -A, -a and --add-laddr is missing")?;
        let belongs = |there: bool, word: &str, to: char| {
            if there && command != to {
                return Err(format!("'{word}' does not go with '-{command}'"));
            }
            Ok(())
        };
        belongs(self.scheduler.is_some(), "-s", 'A')?;
        belongs(self.timeout.is_some(), "--conn-timeout", 'A')?;
        belongs(self.server.is_some(), "-r", 'a')?;
        belongs(self.weight.is_some(), "-w", 'a')?;
        belongs(self.most.is_some(), "-x", 'a')?;
        belongs(self.full_nat, "-b", 'a')?;
        belongs(self.local.is_some(), "-z", 'P')?;
        belongs(self.interface.is_some(), "-F", 'P')?;
        match command {
            'A' => {
                // The scheduler of ipvsadm(8) where none is said.
                let scheduler = self.scheduler.unwrap_or("wlc").parse::<Scheduler>()?;
                let timeout = self.timeout.map(|timeout| number(timeout, "--conn-timeout"));
                let timeout = timeout.transpose()?.filter(|seconds| *seconds != 0);
                let options = ServiceOptions {
                    timeout,
                    ..ServiceOptions::new(scheduler)
                };
                Ok(Rule::Service(id, options))
            }
            'a' => {
                let server = self.server.ok_or("the server is missing: write -r ADDR:PORT")?;
                if !self.full_nat {
                    return Err("how the server is reached is missing: write -b, Full-NAT".to_owned());
                }
                let end = words::server(&id, server.parse()?)?;
                let mut server = RealServer::new(end.ip(), end.port());
                if let Some(weight) = self.weight {
                    server.weight = number(weight, "-w")?;
                }
                if let Some(most) = self.most {
                    server.max_connections = number(most, "-x")?;
                }
                Ok(Rule::Server(id, server))
            }
            _ => {
                let local = self.local.ok_or("the local address is missing: write -z ADDR")?;
                let address: IpAddr = local
                    .parse()
                    .map_err(|_| format!("'{local}' is no address such as 192.168.100.200"))?;
                Ok(Rule::Local(id, address, self.interface.map(str::to_owned)))
            }
        }
    }

    fn id(&self) -> Result<ServiceId, String> {
        let (protocol, end) = self
            .service
            .ok_or("the service is missing: write -t, -u, -q or -1 and ADDR:PORT")?;
        let end: End = end.parse()?;
        // `-q` is that of both families in older releases.
        let protocol = match protocol {
            ServiceProtocol::Icmp if end.address.is_ipv6() => ServiceProtocol::Icmpv6,
            protocol => protocol,
        };
        words::service(protocol, end)
    }
}

fn number<T: FromStr>(text: &str, word: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("'{word} {text}' is no number that can be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<String, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        parse(&words).map(|rule| rule.to_string())
    }

    #[test]
    fn what_ipvsadm_saves_becomes_commands_of_ours() {
        for (line, ours) in [
            (
                "-A -t 10.0.0.100:80 -s rr",
                "service add tcp 10.0.0.100:80 --scheduler rr",
            ),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2:80 -b -w 1",
                "server add tcp 10.0.0.100:80 192.168.100.2:80 --weight 1",
            ),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.3 (null) -w 0 -x 500",
                "server add tcp 10.0.0.100:80 192.168.100.3:80 --weight 0 --max-connections 500",
            ),
            (
                "--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0",
                "laddr add tcp 10.0.0.100:80 192.168.100.200 --dev dpdk0",
            ),
            (
                "-Pt 192.168.88.100:80 -z 192.168.88.241 -F dpdk0",
                "laddr add tcp 192.168.88.100:80 192.168.88.241 --dev dpdk0",
            ),
            (
                "-A -t [2001::1]:80 -s mh",
                "service add tcp [2001::1]:80 --scheduler mh",
            ),
            (
                "-a -t [2001::1]:80 -r 2001::3 -b",
                "server add tcp [2001::1]:80 [2001::3]:80 --weight 1",
            ),
            (
                "-A -q 10.0.0.100:0 -s rr",
                "service add icmp 10.0.0.100 --scheduler rr",
            ),
            (
                "-A -q [2001::1]:0 -s rr",
                "service add icmpv6 2001::1 --scheduler rr",
            ),
            (
                "-A -u10.0.0.100:53 -sconhash -Y sip",
                "service add udp 10.0.0.100:53 --scheduler conhash",
            ),
            (
                "--add-service --tcp-service=10.0.0.100:80 --conn-timeout 30",
                "service add tcp 10.0.0.100:80 --scheduler wlc --timeout 30",
            ),
        ] {
            assert_eq!(said(line), Ok(ours.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_has_no_meaning_here_is_refused() {
        for (line, sentence) in [
            ("-D -t 10.0.0.100:80", "'-D' is not taken"),
            ("-A -t 10.0.0.100:80 -p 300", "'-p' is not taken"),
            ("-A -t 10.0.0.100:80 -s fo", "'fo' is no scheduler"),
            ("-A -t 10.0.0.100:80 -s", "the value of '-s' is missing"),
            ("-A -t 10.0.0.100:80 -s conhash -Y qid", "'-Y qid' is not there"),
            ("-A -s rr", "the service is missing"),
            (
                "-t 10.0.0.100:80 -s rr",
                "one of -A, -a and --add-laddr is missing",
            ),
            ("-A -a -t 10.0.0.100:80", "'-a' contradicts"),
            ("-A -q 10.0.0.100:80", "has no port"),
            (
                "-A -t 10.0.0.100:80 -r 192.168.100.2",
                "'-r' does not go with '-A'",
            ),
            ("-a -t 10.0.0.100:80 -r 192.168.100.2 -g", "'-g' is not there"),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2 -w 1",
                "how the server is reached is missing",
            ),
            ("-a -t 10.0.0.100:80 -b", "the server is missing"),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2 -b -w 65536",
                "'-w 65536' is no number",
            ),
            ("-P -t 10.0.0.100:80", "the local address is missing"),
            ("-P -t 10.0.0.100:80 -z lan", "'lan' is no address"),
            ("-A -t 10.0.0.100:80 rr", "'rr' is one word too many"),
            ("-A --tcp-service", "the value of '--tcp-service' is missing"),
            ("-A --fullnat=yes", "'--fullnat' has no value"),
        ] {
            let found = said(line).unwrap_err();
            assert!(found.contains(sentence), "{line}: {found}");
        }
    }
}
