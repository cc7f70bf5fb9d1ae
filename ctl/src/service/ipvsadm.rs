//! Listings as `ipvsadm` of DPVS prints them, for scripts and eyes that are used to those. Blanks at the ends of lines are left out.

use std::io::{self, Write};
use std::net::SocketAddr;

use control::message::{Forwarding, ServiceId, ServiceInfo, ServiceProtocol, TrafficCounts};

/// What is listed of services and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// `-ln`: forwarding, weight, connections.
    State,
    /// `-ln --stats`: what was counted.
    Stats,
    /// `-ln --rate`: what was counted in a second.
    Rate,
}

/// Lists services, the servers of each sorted below it. `counts` says what is printed of one, for columns of numbers.
pub(super) fn services(
    out: &mut impl Write,
    services: &[ServiceInfo],
    columns: Columns,
    counts: &dyn Fn(&ServiceInfo, Option<SocketAddr>) -> TrafficCounts,
) -> io::Result<()> {
    writeln!(
        out,
        "IP Virtual Server version {} (size=0)",
        env!("CARGO_PKG_VERSION")
    )?;
    let heads = match columns {
        Columns::State => {
            writeln!(out, "Prot LocalAddress:Port Scheduler Flags")?;
            writeln!(
                out,
                "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn"
            )?;
            None
        }
        Columns::Stats => Some(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rate => Some(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
    };
    if let Some([connections, in_packets, out_packets, in_bytes, out_bytes]) = heads {
        writeln!(
            out,
            "{:<33} {connections:>8} {in_packets:>8} {out_packets:>8} {in_bytes:>8} {out_bytes:>8}",
            "Prot LocalAddress:Port"
        )?;
        writeln!(out, "  -> RemoteAddress:Port")?;
    }
    for service in services {
        let name = name(&service.id);
        if columns == Columns::State {
            let timeout = service.options.timeout;
            let timeout = timeout.map_or(String::new(), |seconds| format!(" conn_timeout {seconds}"));
            writeln!(out, "{name} {}{timeout}", service.options.scheduler)?;
        } else {
            writeln!(out, "{name:<33}{}", numbers(&counts(service, None)))?;
        }
        let mut servers: Vec<_> = service.servers.iter().collect();
        servers.sort_by_key(|server| (server.server.address, server.server.port));
        for info in servers {
            let server = &info.server;
            let end = SocketAddr::new(server.address, server.port);
            let shown = end.to_string();
            if columns == Columns::State {
                let Forwarding::FullNat = server.forwarding;
                let (forward, weight, active) = ("FullNat", server.weight, info.active);
                writeln!(
                    out,
                    "  -> {shown:<28} {forward:<7} {weight:<6} {active:<10} {}",
                    info.inactive
                )?;
            } else {
                writeln!(out, "  -> {shown:<28}{}", numbers(&counts(service, Some(end))))?;
            }
        }
    }
    Ok(())
}

/// Lists local addresses as `ipvsadm -G` does: times that no port was free, and connections.
pub(crate) fn locals(out: &mut impl Write, services: &[ServiceInfo]) -> io::Result<()> {
    writeln!(
        out,
        "{:<20} {:<8} {:<20} {:<10} CONNS",
        "VIP:VPORT", "TOTAL", "SNAT_IP", "CONFLICTS"
    )?;
    for service in services {
        let end = SocketAddr::new(service.id.address, service.id.port).to_string();
        writeln!(out, "{end:<20} {}", service.locals.len())?;
        for local in &service.locals {
            let address = local.local.address.to_string();
            writeln!(
                out,
                "{:<20} {:<8} {address:<20} {:<10} {}",
                "", "", local.misses, local.connections
            )?;
        }
    }
    Ok(())
}

fn name(id: &ServiceId) -> String {
    let protocol = match id.protocol {
        ServiceProtocol::Tcp => "TCP",
        ServiceProtocol::Udp => "UDP",
        ServiceProtocol::Icmp => "ICMP",
        ServiceProtocol::Icmpv6 => "ICMPv6",
    };
    format!("{protocol}  {}", SocketAddr::new(id.address, id.port))
}

fn numbers(counts: &TrafficCounts) -> String {
    [
        counts.connections,
        counts.in_packets,
        counts.out_packets,
        counts.in_bytes,
        counts.out_bytes,
    ]
    .into_iter()
    .map(large)
    .collect()
}

/// A number in nine places, of at most eight digits and a letter for thousands.
fn large(number: u64) -> String {
    const MILLION: u64 = 1_000_000;
    match number {
        0..100_000_000 => format!("{number:>9}"),
        100_000_000..1_000_000_000 => format!("{:>8}K", number / 1000),
        1_000_000_000..100_000_000_000 => format!("{:>8}M", number / MILLION),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", number / (1000 * MILLION)),
        _ => format!("{:>8}T", number / (MILLION * MILLION)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_stay_in_their_column() {
        for (number, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (1_000_000_000, "    1000M"),
            (123_456_789_000, "     123G"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(large(number), text);
        }
    }
}
