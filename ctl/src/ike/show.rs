//! `ike show`: IKE SAs as a table, and what failed last.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use control::ike::{IkeSa, IkeSummary};
use control::message::SaKeys;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{ShowArguments, Shown, client, details, no_primary, shown};
use crate::failure::Failure;
use crate::present::{Reading, Show};
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left, right};

/// An IKE SA.
#[derive(Debug, Serialize)]
pub(super) struct Sa {
    profile: Option<String>,
    state: String,
    role: &'static str,
    local: String,
    remote: String,
    local_id: Option<String>,
    remote_id: Option<String>,
    initiator_spi: String,
    responder_spi: String,
    nat: &'static str,
    suite: Option<String>,
    age_ms: Option<u64>,
    busy: bool,
    children: Vec<Child>,
    #[serde(flatten)]
    keys: Option<Keys>,
}

/// Its keys (RFC 7296 section 2.14).
#[derive(Debug, Serialize)]
struct Keys {
    sk_d: Hex,
    sk_a: Pair,
    sk_e: Pair,
    sk_p: Pair,
}

/// Keys of the initiator and of the responder.
#[derive(Debug, Serialize)]
struct Pair {
    i: Hex,
    r: Hex,
}

/// Keys of packets that come in and of those that go out.
#[derive(Debug, Serialize)]
struct ChildKeys {
    #[serde(rename = "in")]
    inbound: Hex,
    out: Hex,
}

/// What it protects.
#[derive(Debug, Serialize)]
struct Child {
    name: String,
    tunnel: Option<String>,
    inbound_spi: u32,
    outbound_spi: u32,
    transform: String,
    esn: bool,
    group: Option<String>,
    udp: bool,
    local_ts: Vec<String>,
    remote_ts: Vec<String>,
    in_use: bool,
    stays: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<ChildKeys>,
}

/// A key, which is wiped with its digits.
pub(super) struct Hex(Zeroizing<String>);

impl Hex {
    pub(super) fn of(key: &SaKeys) -> Self {
        // As long as it will ever be: one that grew would leave digits where it was before.
        let mut digits = Zeroizing::new(String::with_capacity(2 * key.bytes().len()));
        for byte in key.bytes() {
            // A string takes whatever is written.
            let _ = write!(digits, "{byte:02x}");
        }
        Self(digits)
    }

    pub(super) fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex(..)")
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

pub(super) fn run(arguments: &ShowArguments, session: &Session) -> Result<(), Failure> {
    let mut client = client(session)?;
    let profile = arguments.profile.as_deref();
    if arguments.details {
        session.refuse_watch()?;
        let shown = shown(&mut client, profile, arguments.secrets)?;
        return details::print(&shown, session.options().json);
    }
    let mut last = None;
    session.show(|| {
        let Shown { sas, summary } = shown(&mut client, profile, false)?;
        last = Some(summary);
        let sas: Vec<Sa> = sas.iter().map(Sa::from).collect();
        Ok(Reading::from(sas))
    })?;
    if let Some(summary) = last.filter(|_| !session.options().json) {
        problems_to(&mut io::stdout().lock(), &summary)?;
    }
    Ok(())
}

/// Writes that there is no primary, and what failed last.
pub(super) fn problems_to(out: &mut impl Write, summary: &IkeSummary) -> io::Result<()> {
    if let Some(sentence) = no_primary(summary) {
        writeln!(out, "{sentence}")?;
    }
    for failure in &summary.failures {
        let who = match (failure.profile.as_str(), failure.remote) {
            ("", Some(remote)) => remote.to_string(),
            ("", None) => "a peer".to_owned(),
            (profile, _) => profile.to_owned(),
        };
        let times = match failure.times {
            1 => String::new(),
            times => format!(", {times} times"),
        };
        writeln!(
            out,
            "{who}: {} ({} s ago{times})",
            failure.sentence,
            failure.ago_ms / 1000
        )?;
    }
    Ok(())
}

impl From<&IkeSa> for Sa {
    fn from(told: &IkeSa) -> Self {
        let children = told.children.iter().map(|child| Child {
            name: child.name.clone(),
            tunnel: child.tunnel.clone(),
            inbound_spi: child.inbound_spi,
            outbound_spi: child.outbound_spi,
            transform: child.transform.clone(),
            esn: child.esn,
            group: child.group.clone(),
            udp: child.in_udp,
            local_ts: child.local_ts.clone(),
            remote_ts: child.remote_ts.clone(),
            in_use: child.in_use,
            stays: child.stays,
            keys: None,
        });
        Self {
            profile: Some(told.profile.clone()).filter(|name| !name.is_empty()),
            state: told.state.clone(),
            role: if told.initiator { "initiator" } else { "responder" },
            local: told.local.to_string(),
            remote: told.remote.to_string(),
            local_id: told.local_id.clone(),
            remote_id: told.remote_id.clone(),
            initiator_spi: format!("{:016x}", told.initiator_spi),
            responder_spi: format!("{:016x}", told.responder_spi),
            nat: match (told.nat_here, told.nat_there) {
                (false, false) => "none",
                (true, false) => "here",
                (false, true) => "there",
                (true, true) => "both",
            },
            suite: told.suite.clone(),
            age_ms: told.age_ms,
            busy: told.busy,
            children: children.collect(),
            keys: None,
        }
    }
}

impl Sa {
    /// With the keys that the daemon has told.
    pub(super) fn with_keys(told: &IkeSa) -> Self {
        let mut sa = Self::from(told);
        let pair = |(initiator, responder): &(SaKeys, SaKeys)| Pair {
            i: Hex::of(initiator),
            r: Hex::of(responder),
        };
        sa.keys = told.keys.as_ref().map(|keys| Keys {
            sk_d: Hex::of(&keys.sk_d),
            sk_a: pair(&keys.sk_a),
            sk_e: pair(&keys.sk_e),
            sk_p: pair(&keys.sk_p),
        });
        for (child, told) in sa.children.iter_mut().zip(&told.children) {
            child.keys = told.keys.as_ref().map(|(inbound, out)| ChildKeys {
                inbound: Hex::of(inbound),
                out: Hex::of(out),
            });
        }
        sa
    }
}

impl Show for Sa {
    const COLUMNS: &'static [Column] = &[
        left("PROFILE"),
        left("STATE"),
        left("ROLE"),
        left("LOCAL"),
        left("REMOTE"),
        left("PEER"),
        left("ALGORITHMS"),
        left("TUNNEL"),
        left("SPI IN"),
        left("SPI OUT"),
        left("TRAFFIC"),
        right("AGE"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .optional(self.profile.as_ref())
            .cell(&self.state)
            .cell(self.role)
            .cell(&self.local)
            .cell(&self.remote)
            .optional(self.remote_id.as_ref())
            .optional(self.suite.as_ref())
            .cell("")
            .cell(&self.initiator_spi)
            .cell(&self.responder_spi)
            .cell("")
            .optional(self.age_ms.map(|age| format!("{} s", age / 1000)));
        // What it protects, each on a line of its own.
        for child in &self.children {
            let state = match (child.in_use, child.stays) {
                (true, true) => "in use",
                (false, true) => "ready",
                (_, false) => "goes",
            };
            let esn = if child.esn { "-esn" } else { "" };
            let traffic = format!("{} with {}", child.local_ts.join(" "), child.remote_ts.join(" "));
            table
                .cell(format_args!("  {}", child.name))
                .cell(state)
                .cell("child")
                .cell("")
                .cell("")
                .cell("")
                .cell(format_args!("{}{esn}", child.transform))
                .optional(child.tunnel.as_ref())
                .cell(format_args!("{:#010x}", child.inbound_spi))
                .cell(format_args!("{:#010x}", child.outbound_spi))
                .cell(traffic)
                .cell("");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use control::ike::{IkeChild, IkeFailure, IkeKeys, IkeStatistics};

    use super::*;

    pub(crate) fn example(secrets: bool) -> IkeSa {
        let key = |byte: u8| SaKeys::new(vec![byte; 4].into());
        IkeSa {
            profile: "pr1".to_owned(),
            state: "established".to_owned(),
            initiator: true,
            initiator_spi: 0xa71e_7cbc_cebe_474e,
            responder_spi: 0xa1e3_6ca0_bb2a_c94e,
            local: "192.168.10.1:500".parse().unwrap(),
            remote: "192.168.10.2:500".parse().unwrap(),
            local_id: Some("192.168.10.1".to_owned()),
            remote_id: Some("192.168.10.2".to_owned()),
            nat_here: false,
            nat_there: false,
            suite: Some("aes256gcm16-prfsha256-modp2048".to_owned()),
            age_ms: Some(12_345),
            busy: false,
            children: vec![IkeChild {
                name: "net".to_owned(),
                tunnel: Some("ipsec0".to_owned()),
                inbound_spi: 0x4e60_3f2e,
                outbound_spi: 0xe68a_ae85,
                transform: "aes256gcm16".to_owned(),
                esn: true,
                group: None,
                in_udp: false,
                local_ts: vec!["192.168.5.0-192.168.5.255".to_owned()],
                remote_ts: vec!["192.168.3.0-192.168.3.255".to_owned()],
                in_use: true,
                stays: true,
                keys: secrets.then(|| (key(8), key(9))),
            }],
            keys: secrets.then(|| IkeKeys {
                sk_d: key(1),
                sk_a: (SaKeys::new(Vec::new().into()), SaKeys::new(Vec::new().into())),
                sk_e: (key(2), key(3)),
                sk_p: (key(4), key(5)),
            }),
        }
    }

    #[test]
    fn the_json_form_is_stable_and_has_no_keys() {
        assert_eq!(
            serde_json::to_string(&Sa::from(&example(true))).unwrap(),
            r#"{"profile":"pr1","state":"established","role":"initiator","local":"192.168.10.1:500","remote":"192.168.10.2:500","local_id":"192.168.10.1","remote_id":"192.168.10.2","initiator_spi":"a71e7cbccebe474e","responder_spi":"a1e36ca0bb2ac94e","nat":"none","suite":"aes256gcm16-prfsha256-modp2048","age_ms":12345,"busy":false,"children":[{"name":"net","tunnel":"ipsec0","inbound_spi":1314930478,"outbound_spi":3867848325,"transform":"aes256gcm16","esn":true,"group":null,"udp":false,"local_ts":["192.168.5.0-192.168.5.255"],"remote_ts":["192.168.3.0-192.168.3.255"],"in_use":true,"stays":true}]}"#
        );
    }

    #[test]
    fn a_failure_says_whose_it_is_and_how_often_it_came() {
        let failure = |profile: &str, times| IkeFailure {
            profile: profile.to_owned(),
            remote: Some([192, 0, 2, 1].into()),
            sentence: "add modp2048".to_owned(),
            ago_ms: 2500,
            times,
        };
        let mut summary = IkeSummary {
            attached: true,
            why_not: None,
            statistics: IkeStatistics::default(),
            failures: vec![failure("pr1", 3), failure("", 1)],
        };
        let failures = "pr1: add modp2048 (2 s ago, 3 times)\n192.0.2.1: add modp2048 (2 s ago)\n";
        let said = |summary: &IkeSummary| {
            let mut out = Vec::new();
            problems_to(&mut out, summary).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(said(&summary), failures);
        summary.attached = false;
        let said = said(&summary);
        assert!(
            said.starts_with("the primary is gone") && said.ends_with(failures),
            "{said}"
        );
    }
}
