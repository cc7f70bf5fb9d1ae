//! The Python client and this crate read and write the same bytes.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use packet::PacketBuilder;
use ra_helper::frame::{Answer, Family, Messages, Question, Verdict};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python");

/// Says on standard error what it got, and gives each verdict in turn.
const SCRIPT: &str = "
import sys
sys.dont_write_bytecode = True
import tollgate_ra
helper = tollgate_ra.Helper.stdio()
for number, packet in enumerate(helper):
    print(packet.id, packet.time_ns, packet.value, packet.family, packet.interface, packet.rule, packet.data.hex(),
          packet.payload.hex(), file=sys.stderr, flush=True)
    [lambda: helper.forward(packet), lambda: helper.change_payload(packet, b'another payload'), lambda: helper.drop(packet),
     lambda: helper.prohibit(packet), lambda: helper.hold(packet, 300)][number % 5]()
";

fn python() -> Child {
    Command::new("python3")
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", CLIENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Packets, each with its payload.
fn packets() -> Vec<(Family, Vec<u8>, Vec<u8>)> {
    let four = || {
        let (host, peer) = ([198, 51, 100, 1].into(), [203, 0, 113, 77].into());
        PacketBuilder::ipv4(host, peer).options(&[148, 4, 0, 5])
    };
    let six = || {
        let (host, peer) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        PacketBuilder::ipv6(host, peer).router_alert(5)
    };
    let text = "请\n".as_bytes().to_vec();
    let protocol = packet::Protocol::RSVP;
    vec![
        (Family::Four, four().udp(1, 2, &text), text.clone()),
        (Family::Six, six().udp(1, 2, &text), text.clone()),
        (Family::Six, six().payload(protocol, &text), text.clone()),
        (Family::Four, four().payload(protocol, &text), text.clone()),
        (Family::Six, six().udp(1, 2, &[]), Vec::new()),
    ]
}

#[test]
fn req_ra_38_the_clients_of_both_languages_agree_on_every_byte() {
    let mut child = python();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut messages = Messages::default();
    for (id, (family, data, payload)) in (u64::MAX - 4..=u64::MAX).zip(packets()) {
        let question = Question {
            id,
            time_ns: 1_795_220_117_246_195_791,
            value: 65503,
            family,
            interface: "lan",
            rule: "demo",
            packet: &data,
        };
        input.write_all(&question.encode()).unwrap();
        let line = said.next().unwrap().unwrap();
        let expected = format!(
            "{id} 1795220117246195791 65503 {} lan demo {} {}",
            family as u8,
            hex(&data),
            hex(&payload)
        );
        assert_eq!(
            line,
            expected.trim_end().to_owned() + if payload.is_empty() { " " } else { "" }
        );
        let answer = loop {
            if let Some(message) = messages.take().unwrap() {
                break message.to_vec();
            }
            let mut buffer = [0; 4096];
            let length = output.read(&mut buffer).unwrap();
            assert!(length > 0, "it ended");
            messages.push(&buffer[..length]);
        };
        let changed = [&data[..data.len() - payload.len()], b"another payload"].concat();
        let verdict = match id.wrapping_sub(u64::MAX - 4) {
            0 => Verdict::Forward,
            1 => Verdict::Changed(&changed),
            2 => Verdict::Drop,
            3 => Verdict::Prohibited,
            _ => Verdict::Hold(300),
        };
        assert_eq!(Answer::decode(&answer).unwrap(), Answer { id, verdict });
        assert_eq!(answer, Answer { id, verdict }.encode());
    }
    // It ends when its input does.
    drop(input);
    assert!(child.wait().unwrap().success());
}
