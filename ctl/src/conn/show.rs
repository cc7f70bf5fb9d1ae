//! A connection as table, JSON, and in the columns of DPVS.

use std::net::{IpAddr, SocketAddr};

use control::message::{ConnectionInfo, ServiceProtocol};
use serde::Serialize;

use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::service::end_words;
use crate::table::{Column, Table, left, right};

/// A connection. Ports are null for ICMP, and identifiers for all else.
#[derive(Debug, Serialize)]
pub(super) struct Connection {
    worker: u16,
    protocol: &'static str,
    state: String,
    expires_ms: u64,
    client_address: IpAddr,
    client_port: Option<u16>,
    service_address: IpAddr,
    service_port: Option<u16>,
    local_address: IpAddr,
    local_port: Option<u16>,
    server_address: IpAddr,
    server_port: Option<u16>,
    /// The type of the query that began it.
    icmp_type: Option<u8>,
    /// The identifier of the client's queries, and that of them towards the server.
    icmp_id: Option<u16>,
    local_icmp_id: Option<u16>,
    in_packets: u64,
    in_bytes: u64,
    out_packets: u64,
    out_bytes: u64,
    #[serde(skip)]
    of: ServiceProtocol,
}

impl From<ConnectionInfo> for Connection {
    fn from(info: ConnectionInfo) -> Self {
        let is_icmp = info.protocol.is_icmp();
        let port = |end: SocketAddr| (!is_icmp).then_some(end.port());
        let id = |end: SocketAddr| is_icmp.then_some(end.port());
        Self {
            worker: info.worker,
            protocol: info.protocol.name(),
            state: info.state,
            expires_ms: info.expires_ms,
            client_address: info.client.ip(),
            client_port: port(info.client),
            service_address: info.service.ip(),
            service_port: port(info.service),
            local_address: info.local.ip(),
            local_port: port(info.local),
            server_address: info.server.ip(),
            server_port: port(info.server),
            icmp_type: info.icmp_type,
            icmp_id: id(info.client),
            local_icmp_id: id(info.local),
            in_packets: info.in_packets,
            in_bytes: info.in_bytes,
            out_packets: info.out_packets,
            out_bytes: info.out_bytes,
            of: info.protocol,
        }
    }
}

impl Connection {
    /// One end, with its port or identifier, if it has one.
    fn end(&self, address: IpAddr, port: Option<u16>, id: Option<u16>) -> String {
        match id {
            Some(id) => format!("{address} id {id}"),
            None => end_words(self.of, address, port.unwrap_or(0)),
        }
    }

    fn client(&self) -> String {
        self.end(self.client_address, self.client_port, self.icmp_id)
    }

    fn service(&self) -> String {
        match self.icmp_type {
            Some(icmp_type) => format!("{} type {icmp_type}", self.service_address),
            None => self.end(self.service_address, self.service_port, None),
        }
    }
}

impl Show for Connection {
    const COLUMNS: &'static [Column] = &[
        right("WORKER"),
        left("PROTO"),
        left("STATE"),
        right("EXPIRES"),
        left("CLIENT"),
        left("SERVICE"),
        left("LOCAL"),
        left("SERVER"),
        right("IN PACKETS"),
        right("OUT PACKETS"),
        right("IN BYTES"),
        right("OUT BYTES"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[
        right("IN PACKETS/S"),
        right("OUT PACKETS/S"),
        right("IN BYTES/S"),
        right("OUT BYTES/S"),
    ];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(self.worker)
            .cell(self.protocol)
            .cell(&self.state)
            .cell(format_args!("{} s", self.expires_ms.div_ceil(1000)))
            .cell(self.client())
            .cell(self.service())
            .cell(self.end(self.local_address, self.local_port, self.local_icmp_id))
            .cell(self.end(self.server_address, self.server_port, None))
            .cell(self.in_packets)
            .cell(self.out_packets)
            .cell(self.in_bytes)
            .cell(self.out_bytes);
        if let Some(rates) = rates {
            for name in ["in_packets", "out_packets", "in_bytes", "out_bytes"] {
                table.optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        let local = self.local_port.or(self.local_icmp_id).unwrap_or(0);
        format!(
            "{} {} {} {} {local}",
            self.protocol,
            self.client(),
            self.service(),
            self.local_address
        )
    }

    fn counts(&self) -> Vec<Count> {
        vec![
            Count::new("in_packets", self.in_packets),
            Count::new("out_packets", self.out_packets),
            Count::new("in_bytes", self.in_bytes),
            Count::new("out_bytes", self.out_bytes),
        ]
    }
}

/// A line in the columns of DPVS, where identifiers of ICMP stand in place of ports.
pub(super) fn dpvs(info: &ConnectionInfo) -> String {
    let protocol = match info.protocol {
        ServiceProtocol::Tcp => "tcp",
        ServiceProtocol::Udp => "udp",
        ServiceProtocol::Icmp | ServiceProtocol::Icmpv6 => "icmp",
    };
    let [client, service, local] = [info.client, info.service, info.local].map(|end| end.to_string());
    format!(
        "[{}]{protocol:<3} {:<6} {:<11} {client:<18} {service:<18} {local:<18} {}",
        info.worker,
        format!("{}s", info.expires_ms.div_ceil(1000)),
        info.state.to_ascii_uppercase(),
        info.server
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(protocol: ServiceProtocol, ports: [u16; 4]) -> ConnectionInfo {
        let [client, service, local, server] = ports;
        ConnectionInfo {
            worker: 1,
            protocol,
            icmp_type: protocol.is_icmp().then_some(8),
            client: ([10, 0, 0, 48], client).into(),
            service: ([10, 0, 0, 100], service).into(),
            local: ([192, 168, 100, 200], local).into(),
            server: ([192, 168, 100, 2], server).into(),
            state: "established".into(),
            expires_ms: 56_001,
            in_packets: 5,
            in_bytes: 500,
            out_packets: 4,
            out_bytes: 400,
        }
    }

    #[test]
    fn the_json_form_is_stable() {
        let json = |info| serde_json::to_string(&Connection::from(info)).unwrap();
        assert_eq!(
            json(info(ServiceProtocol::Tcp, [37177, 80, 1025, 8080])),
            concat!(
                r#"{"worker":1,"protocol":"tcp","state":"established","expires_ms":56001,"client_address":"10.0.0.48","client_port":37177,"#,
                r#""service_address":"10.0.0.100","service_port":80,"local_address":"192.168.100.200","local_port":1025,"#,
                r#""server_address":"192.168.100.2","server_port":8080,"icmp_type":null,"icmp_id":null,"local_icmp_id":null,"#,
                r#""in_packets":5,"in_bytes":500,"out_packets":4,"out_bytes":400}"#
            )
        );
        let icmp = json(info(ServiceProtocol::Icmp, [7, 0, 4711, 0]));
        assert!(icmp.contains(r#""client_port":null,"#), "{icmp}");
        assert!(
            icmp.contains(r#""icmp_type":8,"icmp_id":7,"local_icmp_id":4711"#),
            "{icmp}"
        );
    }

    /// REQ-ICMP-45.
    #[test]
    fn icmp_has_identifiers_and_no_made_up_ports() {
        let mut table = Table::new(Connection::COLUMNS.to_vec());
        for (protocol, ports) in [
            (ServiceProtocol::Icmp, [7, 0, 4711, 0]),
            (ServiceProtocol::Udp, [5353, 53, 1025, 53]),
        ] {
            Connection::from(info(protocol, ports)).lines(&mut table, None);
        }
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        let icmp = "1  icmp   established     57 s  10.0.0.48 id 7  10.0.0.100 type 8  192.168.100.200 id 4711  192.168.100.2 ";
        let udp = "1  udp    established     57 s  10.0.0.48:5353  10.0.0.100:53      192.168.100.200:1025     192.168.100.2:53 ";
        assert!(shown.contains(icmp) && shown.contains(udp), "{shown}");
    }

    #[test]
    fn the_columns_of_dpvs_keep_their_places() {
        assert_eq!(
            dpvs(&info(ServiceProtocol::Tcp, [37177, 80, 1025, 80])),
            "[1]tcp 57s    ESTABLISHED 10.0.0.48:37177    10.0.0.100:80      192.168.100.200:1025 192.168.100.2:80"
        );
        assert_eq!(
            dpvs(&info(ServiceProtocol::Icmp, [7, 0, 4711, 0])),
            "[1]icmp 57s    ESTABLISHED 10.0.0.48:7        10.0.0.100:0       192.168.100.200:4711 192.168.100.2:0"
        );
    }
}
