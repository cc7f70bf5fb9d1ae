//! `ike show --details`: all that is known of each IKE SA, and statistics.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use control::ike::{IkeChild, IkeSa, IkeStatistics};
use control::message::SaKeys;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Shown;
use super::show::{Sa, failures_to};
use crate::failure::Failure;

pub(super) fn print(shown: &Shown, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        let text = Zeroizing::new(as_json(shown).to_string());
        writeln!(out, "{}", *text)?;
        return Ok(());
    }
    for sa in &shown.sas {
        out.write_all(text(sa).as_bytes())?;
    }
    out.write_all(statistics(&shown.summary.statistics).as_bytes())?;
    if !shown.summary.attached {
        writeln!(out, "The primary is gone: the daemon waits for the next.")?;
    }
    failures_to(&mut out, &shown.summary.failures, None)?;
    Ok(())
}

/// Hex digits, which are wiped as the key is.
fn hex(key: &SaKeys) -> Zeroizing<String> {
    // As long as it will ever be: one that grew would leave digits where it was before.
    let mut digits = Zeroizing::new(String::with_capacity(2 * key.bytes().len()));
    for byte in key.bytes() {
        // A string takes whatever is written.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn text(sa: &IkeSa) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    let _ = write_text(&mut text, sa);
    text
}

fn write_text(text: &mut String, sa: &IkeSa) -> std::fmt::Result {
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
        writeln!(text, " SK_d    {}", *hex(&keys.sk_d))?;
        for (name, (initiator, responder)) in
            [("SK_a", &keys.sk_a), ("SK_e", &keys.sk_e), ("SK_p", &keys.sk_p)]
        {
            if !initiator.bytes().is_empty() {
                writeln!(text, " {name}  i:{}", *hex(initiator))?;
                writeln!(text, "       r:{}", *hex(responder))?;
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

fn write_child(text: &mut String, child: &IkeChild) -> std::fmt::Result {
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
        writeln!(text, "   SK  in:{}", *hex(inbound))?;
        writeln!(text, "      out:{}", *hex(outbound))?;
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

fn as_json(shown: &Shown) -> Value {
    let sas: Vec<Value> = shown.sas.iter().map(sa_as_json).collect();
    json!({
        "sas": sas,
        "attached": shown.summary.attached,
        "statistics": shown.summary.statistics,
        "failures": shown.summary.failures,
    })
}

fn sa_as_json(sa: &IkeSa) -> Value {
    let mut value = json!(Sa::from(sa));
    if let Some(keys) = &sa.keys
        && let Some(object) = value.as_object_mut()
    {
        let pair =
            |(initiator, responder): &(SaKeys, SaKeys)| json!({ "i": *hex(initiator), "r": *hex(responder) });
        object.insert("sk_d".to_owned(), json!(*hex(&keys.sk_d)));
        object.insert("sk_a".to_owned(), pair(&keys.sk_a));
        object.insert("sk_e".to_owned(), pair(&keys.sk_e));
        object.insert("sk_p".to_owned(), pair(&keys.sk_p));
    }
    let children = value.get_mut("children").and_then(Value::as_array_mut);
    for (child, shown) in sa.children.iter().zip(children.into_iter().flatten()) {
        if let Some((inbound, outbound)) = &child.keys
            && let Some(object) = shown.as_object_mut()
        {
            object.insert(
                "keys".to_owned(),
                json!({ "in": *hex(inbound), "out": *hex(outbound) }),
            );
        }
    }
    value
}

#[cfg(test)]
mod tests {
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
        let value = sa_as_json(&example(true));
        assert_eq!(value["sk_p"], json!({ "i": "04040404", "r": "05050505" }));
        assert_eq!(value["children"][0]["keys"]["out"], json!("09090909"));
        assert_eq!(sa_as_json(&example(false)).get("sk_d"), None);
    }
}
