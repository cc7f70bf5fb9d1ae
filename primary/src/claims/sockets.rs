//! What the kernel's own tables say of the host's traffic: default routes, connections, addresses. Formats: proc_net_tcp and
//! route(8); the parsers take text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RTF_UP and RTF_REJECT of `linux/route.h`.
const UP: u32 = 0x0001;
const REJECT: u32 = 0x0200;
/// TCP_ESTABLISHED.
const ESTABLISHED: &str = "01";

/// Interfaces of the default routes in `/proc/net/route`.
pub(super) fn default_routes4(text: &str) -> Vec<&str> {
    fn interface(line: &str) -> Option<&str> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [
            interface,
            destination,
            _gateway,
            flags,
            _references,
            _use,
            _metric,
            mask,
            ..,
        ] = fields[..]
        else {
            return None;
        };
        (destination == "00000000" && mask == "00000000" && is_used(flags)).then_some(interface)
    }
    text.lines().skip(1).filter_map(interface).collect()
}

/// Interfaces of the default routes in `/proc/net/ipv6_route`.
pub(super) fn default_routes6(text: &str) -> Vec<&str> {
    fn interface(line: &str) -> Option<&str> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [destination, length, .., flags, interface] = fields[..] else {
            return None;
        };
        let default = length == "00" && destination.bytes().all(|byte| byte == b'0');
        (default && is_used(flags)).then_some(interface)
    }
    text.lines().filter_map(interface).collect()
}

/// Interfaces with an IPv6 address in `/proc/net/if_inet6`, each as often as it has one.
pub(super) fn interfaces6(text: &str) -> Vec<&str> {
    fn interface(line: &str) -> Option<&str> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [_address, _index, _length, _scope, _flags, interface] = fields[..] else {
            return None;
        };
        Some(interface)
    }
    text.lines().filter_map(interface).collect()
}

fn is_used(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0 && flags & REJECT == 0)
}

/// Local addresses of the established connections in `/proc/net/tcp` or `/proc/net/tcp6` whose local port is one of
/// `ports`.
pub(super) fn connections(text: &str, ports: &[u16]) -> Vec<IpAddr> {
    let local = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (address, port) = fields.next()?.split_once(':')?;
        let established = fields.nth(1)? == ESTABLISHED;
        let port = u16::from_str_radix(port, 16).ok()?;
        (established && ports.contains(&port))
            .then(|| parse_address(address))
            .flatten()
    };
    text.lines().skip(1).filter_map(local).collect()
}

/// An address as the kernel prints it there: 32-bit words of network order in the machine's own.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let digits = text.get(index * 8..index * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match text.len() {
        8 => word(0).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Ports on which ssh connections may come in: the usual one, and that of the connection that this process was started
/// from, as `SSH_CONNECTION` has it, ssh(1).
pub(super) fn ssh_ports(ssh_connection: Option<&str>) -> Vec<u16> {
    let own: Option<u16> =
        ssh_connection.and_then(|text| text.split_ascii_whitespace().nth(3)?.parse::<u16>().ok());
    let mut ports = vec![22];
    ports.extend(own.filter(|port| *port != 22));
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
eth2\t00000000\t0102A8C0\t0002\t0\t0\t100\t00000000\t0\t0\t0
*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0
";

    const ROUTE6: &str = "\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    // A listener on 22, a connection to 192.168.2.10 port 22, one from there to somewhere's port 22, a closing one.
    #[cfg(target_endian = "little")]
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0A02A8C0:0016 0B02A8C0:C350 01 00000000:00000000 02:00000000 00000000     0        0 2 2 0 20 4 31 10 -1
   2: 0A02A8C0:C351 0B02A8C0:0016 01 00000000:00000000 02:00000000 00000000     0        0 3 2 0 20 4 31 10 -1
   3: 0A03A8C0:0016 0B02A8C0:C352 06 00000000:00000000 02:00000000 00000000     0        0 4 2 0 20 4 31 10 -1
";

    #[test]
    fn interfaces_with_ipv6_are_named() {
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe800000000000000000fffe00000001 07 40 20 80       a0\n";
        assert_eq!(interfaces6(text), ["lo", "a0"]);
    }

    #[test]
    fn default_routes_that_are_up_name_their_interfaces() {
        assert_eq!(default_routes4(ROUTE), ["eth0"]);
        assert_eq!(default_routes6(ROUTE6), ["eth0"]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn connections_to_the_ports_asked_for_are_found() {
        assert_eq!(connections(TCP, &[22]), [IpAddr::from([192, 168, 2, 10])]);
        assert_eq!(connections(TCP, &[50001]), [IpAddr::from([192, 168, 2, 10])]);
        assert!(connections(TCP, &[23]).is_empty());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_both_families_are_read() {
        let v6 = parse_address("B80D0120000000000000000001000000").unwrap();
        assert_eq!(v6, "2001:db8::1".parse::<IpAddr>().unwrap());
        let mapped = parse_address("0000000000000000FFFF00000A02A8C0").unwrap();
        assert_eq!(mapped, IpAddr::from([192, 168, 2, 10]));
        assert_eq!(parse_address("0A02"), None);
    }

    #[test]
    fn ssh_listens_on_22_and_where_this_session_came_in() {
        assert_eq!(ssh_ports(None), [22]);
        assert_eq!(ssh_ports(Some("192.0.2.7 50000 192.0.2.1 2222")), [22, 2222]);
        assert_eq!(ssh_ports(Some("192.0.2.7 50000 192.0.2.1 22")), [22]);
        assert_eq!(ssh_ports(Some("nonsense")), [22]);
    }

    proptest! {
        #[test]
        fn any_text_in_place_of_a_kernel_table_is_survived(text in "[ -~\n\t]{0,200}") {
            let _ = (default_routes4(&text), default_routes6(&text), interfaces6(&text), connections(&text, &[22]));
        }
    }
}
