//! What is above IP, in words.

use std::fmt::Display;

use packet::icmpv4::{Echo, EchoKind};
use packet::tcp::TcpFlags;
use packet::{Protocol, Tcp, Udp, tcp, udp};

/// What becomes of a header that is not all there.
pub(super) const CUT: &str = "cut short";

/// Describes what a packet between `ends` carries; `there` bytes of the payload were captured.
pub(super) fn told<A: Display>(protocol: Protocol, payload: &[u8], there: usize, ends: (A, A)) -> String {
    let (source, destination) = ends;
    let plain = |what: String| format!("{source} > {destination}: {what}");
    let ports = |from: u16, to: u16, what: String| format!("{source}.{from} > {destination}.{to}: {what}");
    let name = name(protocol);
    match protocol {
        Protocol::UDP if there < udp::HEADER_LEN => plain(format!("{name} ({CUT})")),
        Protocol::TCP if there < tcp::HEADER_LEN => plain(format!("{name} ({CUT})")),
        Protocol::UDP => match Udp::parse(payload) {
            Ok(datagram) => ports(datagram.source_port(), datagram.destination_port(), name),
            Err(error) => plain(format!("{name} ({})", sentence(error))),
        },
        Protocol::TCP => match Tcp::parse(payload) {
            Ok(segment) => ports(
                segment.source_port(),
                segment.destination_port(),
                format!(
                    "{name} {}, seq {}, ack {}, win {}",
                    flags(segment.flags()),
                    segment.sequence(),
                    segment.acknowledgment(),
                    segment.window()
                ),
            ),
            Err(error) => plain(format!("{name} ({})", sentence(error))),
        },
        _ => plain(name),
    }
}

pub(super) fn echo(echo: &Echo) -> String {
    let kind = match echo.kind {
        EchoKind::Request => "request",
        EchoKind::Reply => "reply",
    };
    format!("echo {kind}, id {}, seq {}", echo.identifier, echo.sequence)
}

/// Flags as tcpdump writes them: `[S.]`.
fn flags(flags: TcpFlags) -> String {
    let letters = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
    ];
    let set = letters.into_iter().filter(|(flag, _)| flags.has(*flag));
    let set: String = set.map(|(_, letter)| letter).collect();
    format!("[{set}]")
}

/// The name of a protocol, or its number.
pub(super) fn name(protocol: Protocol) -> String {
    let name = protocol.to_string();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("protocol {name}")
    } else {
        name
    }
}

pub(super) fn sentence(error: impl Display) -> String {
    error.to_string()
}
