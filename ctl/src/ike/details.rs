//! `ike show --details`: all that is known of each IKE SA, and statistics.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;

use control::ike::{IkeChild, IkeFailure, IkeSa, IkeStatistics};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Shown;
use super::show::{Hex, Sa, problems_to};
use crate::failure::Failure;

/// The JSON form.
#[derive(Serialize)]
struct Details<'a> {
    sas: Vec<Sa>,
    attached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<&'a str>,
    statistics: &'a IkeStatistics,
    failures: &'a [IkeFailure],
}

pub(super) fn print(shown: &Shown, json: bool) -> Result<(), Failure> {
    // Without the buffer of the standard output, which nobody wipes.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if json {
        out.write_all(&as_json(shown)?)?;
        return Ok(());
    }
    for sa in &shown.sas {
        out.write_all(text(sa).as_bytes())?;
    }
    let mut rest = statistics(&shown.summary.statistics).into_bytes();
    problems_to(&mut rest, &shown.summary)?;
    out.write_all(&rest)?;
    Ok(())
}

/// How long something is that is written: what has keys is written once more then, into memory that does not grow and is wiped.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(sa: &IkeSa) -> Zeroizing<String> {
    let mut length = Length(0);
    // Both take whatever is written.
    let _ = write_text(&mut length, sa);
    let mut text = Zeroizing::new(String::with_capacity(length.0));
    let _ = write_text(&mut *text, sa);
    text
}

fn as_json(shown: &Shown) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let details = Details {
        sas: shown.sas.iter().map(Sa::with_keys).collect(),
        attached: shown.summary.attached,
        why_not: shown.summary.why_not.as_deref(),
        statistics: &shown.summary.statistics,
        failures: &shown.summary.failures,
    };
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &details)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer(&mut *text, &details)?;
    text.push(b'\n');
    Ok(text)
}

fn write_text(text: &mut impl fmt::Write, sa: &IkeSa) -> std::fmt::Result {
    let role = if sa.initiator { "initiator" } else { "responder" };
    let profile = if sa.profile.is_empty() {
        "(no profile yet)"
    } else {
        &sa.profile
    };
    let age = sa
        .age_ms
        .map_or_else(String::new, |age| format!(", {} s", age / 1000));
    let busy = if sa.busy { ", a request is under way" } else { "" };
    writeln!(text, "{profile}: {}, {role}{age}{busy}", sa.state)?;
    let (ours, theirs) = (sa.local, sa.remote);
    let ends = if sa.initiator {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    writeln!(
        text,
        " iip {} ispi {:016x} rip {} rspi {:016x}",
        ends.0, sa.initiator_spi, ends.1, sa.responder_spi
    )?;
    if let Some(suite) = &sa.suite {
        writeln!(text, " {suite}")?;
    }
    let nat = match (sa.nat_here, sa.nat_there) {
        (false, false) => None,
        (true, false) => Some("this end"),
        (false, true) => Some("the peer"),
        (true, true) => Some("each end"),
    };
    if let Some(behind) = nat {
        writeln!(text, " {behind} is behind a NAT")?;
    }
    if let Some(keys) = &sa.keys {
        writeln!(text, " SK_d    {}", Hex::of(&keys.sk_d).digits())?;
        for (name, (initiator, responder)) in
            [("SK_a", &keys.sk_a), ("SK_e", &keys.sk_e), ("SK_p", &keys.sk_p)]
        {
            if !initiator.bytes().is_empty() {
                writeln!(text, " {name}  i:{}", Hex::of(initiator).digits())?;
                writeln!(text, "       r:{}", Hex::of(responder).digits())?;
            }
        }
    }
    let unknown = || "(not known yet)".to_owned();
    let ids = (sa.local_id.clone(), sa.remote_id.clone());
    let (initiator, responder) = if sa.initiator { ids } else { (ids.1, ids.0) };
    writeln!(text, " identifier (i) {}", initiator.unwrap_or_else(unknown))?;
    writeln!(text, " identifier (r) {}", responder.unwrap_or_else(unknown))?;
    sa.children.iter().try_for_each(|child| write_child(text, child))
}

fn write_child(text: &mut impl fmt::Write, child: &IkeChild) -> std::fmt::Result {
    let tunnel = child.tunnel.as_deref().unwrap_or("(none)");
    let state = match (child.in_use, child.stays) {
        (true, true) => "in use",
        (false, true) => "ready",
        (_, false) => "goes",
    };
    let esn = if child.esn { "yes" } else { "no" };
    let group = child.group.as_deref().unwrap_or("none");
    let udp = if child.in_udp { ", in UDP" } else { "" };
    writeln!(text, "  child sa {}: tunnel {tunnel}, {state}{udp}", child.name)?;
    writeln!(text, "   encr:{} esn:{esn} dh-group:{group}", child.transform)?;
    writeln!(
        text,
        "   spi(in) {:08x} spi(out) {:08x}",
        child.inbound_spi, child.outbound_spi
    )?;
    if let Some((inbound, outbound)) = &child.keys {
        writeln!(text, "   SK  in:{}", Hex::of(inbound).digits())?;
        writeln!(text, "      out:{}", Hex::of(outbound).digits())?;
    }
    writeln!(text, "   traffic selectors (local) {}", child.local_ts.join(" "))?;
    writeln!(
        text,
        "   traffic selectors (remote) {}",
        child.remote_ts.join(" ")
    )
}

fn statistics(counted: &IkeStatistics) -> String {
    format!(
        "Stats:\n keepalives: {}\n rekey: {} (child: {})\n SA init: {} (sent: {})\n retransmit: {} (answers: {})\n SA auth: {}\n \
         cookies: {}\n dropped: {} (limited: {}, not sent: {})\n",
        counted.keepalives,
        counted.ike_rekeys,
        counted.child_rekeys,
        counted.init_answered,
        counted.init_sent,
        counted.retransmitted,
        counted.repeated_answers,
        counted.authenticated,
        counted.cookies,
        counted.dropped,
        counted.limited,
        counted.unsent,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::show::tests::example;
    use super::*;

    #[test]
    fn all_is_shown_and_keys_only_where_there_are_some() {
        let plain = text(&example(false));
        assert_eq!(
            *plain,
            "pr1: established, initiator, 12 s\n \
             iip 192.168.10.1:500 ispi a71e7cbccebe474e rip 192.168.10.2:500 rspi a1e36ca0bb2ac94e\n \
             aes256gcm16-prfsha256-modp2048\n \
             identifier (i) 192.168.10.1\n \
             identifier (r) 192.168.10.2\n  \
             child sa net: tunnel ipsec0, in use\n   \
             encr:aes256gcm16 esn:yes dh-group:none\n   \
             spi(in) 4e603f2e spi(out) e68aae85\n   \
             traffic selectors (local) 192.168.5.0-192.168.5.255\n   \
             traffic selectors (remote) 192.168.3.0-192.168.3.255\n"
        );
        let secret = text(&example(true));
        for line in [
            " SK_d    01010101\n",
            " SK_e  i:02020202\n       r:03030303\n",
            "   SK  in:08080808\n",
        ] {
            assert!(secret.contains(line), "{}", *secret);
        }
        assert!(!secret.contains("SK_a"));
        assert_eq!(secret.capacity(), secret.len());
        let told = |secrets| Shown {
            sas: vec![example(secrets)],
            summary: control::ike::IkeSummary {
                attached: true,
                why_not: None,
                statistics: IkeStatistics::default(),
                failures: Vec::new(),
            },
        };
        let bytes = as_json(&told(true)).unwrap();
        // It has not grown, and so left no keys behind.
        assert_eq!(bytes.capacity(), bytes.len());
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let sa = &value["sas"][0];
        assert_eq!(sa["sk_p"], json!({ "i": "04040404", "r": "05050505" }));
        assert_eq!(sa["sk_a"], json!({ "i": "", "r": "" }));
        assert_eq!(
            sa["children"][0]["keys"],
            json!({ "in": "08080808", "out": "09090909" })
        );
        assert_eq!(value["statistics"]["init_sent"], 0);
        let value: Value = serde_json::from_slice(&as_json(&told(false)).unwrap()).unwrap();
        let sa = &value["sas"][0];
        assert!(sa.get("sk_d").is_none() && sa["children"][0].get("keys").is_none());
    }
}
