//! `[[service]]`: parsed by itself; what services say of each other and of interfaces is in [`super::check`].

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use control::message::{
    LocalAddress, RealServer, Scheduler, Service, ServiceId, ServiceOptions, ServiceProtocol,
};
use document::{At, Document, Place, Section};
use ipnet::IpNet;

/// `[[service]]` as far as it could be read.
pub(super) struct RawService {
    place: Place,
    pub(super) id: Option<At<ServiceId>>,
    options: ServiceOptions,
    /// Where its options are written, by key.
    places: Vec<(&'static str, Place)>,
    servers: Vec<At<RealServer>>,
    pub(super) locals: Vec<RawLocal>,
    /// Whether nothing of it is left out.
    is_whole: bool,
}

/// A local address of a service.
pub(super) struct RawLocal {
    pub(super) address: At<IpAddr>,
    pub(super) interface: At<String>,
}

/// An address, and the port behind it if there is one.
struct Endpoint(IpAddr, Option<u16>);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<SocketAddr>() {
            return Ok(Self(at.ip(), Some(at.port())));
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let address = bare.unwrap_or(text).parse();
        address.map(|address| Self(address, None)).map_err(|_| {
            format!("'{text}' is not an address and port: write it as in 192.0.2.1:80 or [2001:db8::1]:80")
        })
    }
}

/// An IP address alone.
struct Address(IpAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("'{text}' is not an IP address: write it as in 192.0.2.1 or 2001:db8::1"))
    }
}

/// A prefix of clients, or one client.
struct Clients(IpNet);

impl FromStr for Clients {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| Self(net.trunc())).map_err(|_| {
            format!("'{text}' is not an IP prefix: write it as in 192.0.2.0/24 or 2001:db8::/32")
        })
    }
}

impl RawService {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let protocol = section.parsed::<ServiceProtocol>("protocol");
        section.missing("protocol", "\"tcp\"");
        let address = section.parsed::<Endpoint>("address");
        section.missing("address", "\"192.0.2.1:80\"");
        let id = protocol.as_ref().zip(address).map(|(protocol, at)| {
            at.map(|Endpoint(address, port)| ServiceId {
                protocol: protocol.value,
                address,
                port: port.unwrap_or(0),
            })
        });
        let scheduler = section.parsed::<Scheduler>("scheduler");
        let mut options = ServiceOptions::new(scheduler.map_or(Scheduler::Rr, |at| at.value));
        let mut places = Vec::new();
        if let Some(at) = section.boolean("toa") {
            options.toa = at.value;
            places.push(("toa", at.place));
        }
        if let Some(at) = section.boolean("fast_xmit") {
            options.fast_xmit = at.value;
        }
        if let Some(at) = section.integer("timeout", 1..=ServiceOptions::MAX_TIMEOUT) {
            options.timeout = Some(at.value);
            places.push(("timeout", at.place));
        }
        if let Some(at) = section.boolean("icmp_short") {
            options.icmp_short = at.value;
            places.push(("icmp_short", at.place));
        }
        for (key, prefixes) in [("allow", &mut options.allow), ("deny", &mut options.deny)] {
            let written = section.strings(key).unwrap_or_default();
            places.extend(written.first().map(|first| (key, first.place)));
            let read = written.iter().filter_map(|text| section.parse::<Clients>(text));
            prefixes.extend(read.map(|at| at.value.0));
        }
        let port = id.as_ref().map_or(0, |at| at.value.port);
        let example = "servers = [{ address = \"10.0.0.2:80\" }]";
        let servers = section.tables("servers", example).unwrap_or_default();
        let written = servers.len();
        let servers: Vec<_> = servers
            .into_iter()
            .filter_map(|table| server(table, port))
            .collect();
        let example = "local_addresses = [{ address = \"10.0.0.200\", interface = \"lan\" }]";
        let locals = section.tables("local_addresses", example).unwrap_or_default();
        let written = written + locals.len();
        let locals: Vec<_> = locals.into_iter().filter_map(local).collect();
        let place = section.place;
        section.finish();
        Self {
            place,
            is_whole: id.is_some() && servers.len() + locals.len() == written,
            id,
            options: options.normal(),
            places,
            servers,
            locals,
        }
    }

    /// Notes what it cannot be, by itself.
    pub(super) fn check(&self, document: &Document<'_>) {
        let Some(At { place, value: id }) = &self.id else {
            return;
        };
        if let Err(fault) = id.check() {
            document.report(*place, fault.sentence);
            return;
        }
        let place_of = |key: &str| {
            let known = self.places.iter().find(|(known, _)| *known == key);
            known.map_or(self.place, |(_, place)| *place)
        };
        let mut found = false;
        if let Err(fault) = self.options.check(id) {
            document.report(place_of(fault.key), fault.sentence);
            found = true;
        }
        for server in &self.servers {
            if let Err(fault) = server.value.check(id) {
                document.report(server.place, fault.sentence);
                found = true;
            }
        }
        for local in &self.locals {
            let value = local.value();
            if let Err(fault) = value.check(id) {
                document.report(local.address.place, fault.sentence);
                found = true;
            }
        }
        // What is there twice, or too often.
        if let (false, Err(fault)) = (found, self.service(*id).check()) {
            document.report(self.twice(fault.key).unwrap_or(self.place), fault.sentence);
        }
    }

    /// Where something is written that was written before.
    fn twice(&self, key: &str) -> Option<Place> {
        if key == "servers" {
            let mut servers = self.servers.iter().enumerate();
            let again = servers.find(|(index, server)| {
                let before = self.servers.iter().take(*index);
                before
                    .into_iter()
                    .any(|other| other.value.at() == server.value.at())
            });
            return again.map(|(_, server)| server.place);
        }
        let mut locals = self.locals.iter().enumerate();
        let again = locals.find(|(index, local)| {
            let mut before = self.locals.iter().take(*index);
            before.any(|other| other.address.value == local.address.value)
        });
        again.map(|(_, local)| local.address.place)
    }

    fn service(&self, id: ServiceId) -> Service {
        Service {
            id,
            options: self.options.clone(),
            servers: self.servers.iter().map(|at| at.value.clone()).collect(),
            locals: self.locals.iter().map(RawLocal::value).collect(),
        }
    }

    /// The service, when nothing was wrong with it.
    pub(super) fn into_service(self) -> Option<Service> {
        let id = self.id.as_ref().filter(|_| self.is_whole)?.value;
        Some(self.service(id))
    }
}

impl RawLocal {
    fn value(&self) -> LocalAddress {
        LocalAddress {
            address: self.address.value,
            interface: self.interface.value.clone(),
        }
    }
}

/// An entry of `servers`, whose port is that of the service unless it says one.
fn server(table: Section<'_>, port: u16) -> Option<At<RealServer>> {
    let address = table.parsed::<Endpoint>("address");
    table.missing("address", "\"10.0.0.2:80\"");
    let weight = table.integer("weight", 0..=u16::MAX);
    let max_connections = table.integer("max_connections", 0..=u32::MAX);
    table.finish();
    Some(address?.map(|Endpoint(address, own)| RealServer {
        weight: weight.map_or(1, |at| at.value),
        max_connections: max_connections.map_or(0, |at| at.value),
        ..RealServer::new(address, own.unwrap_or(port))
    }))
}

/// An entry of `local_addresses`.
fn local(table: Section<'_>) -> Option<RawLocal> {
    let address = table.parsed::<Address>("address");
    table.missing("address", "\"10.0.0.200\"");
    let interface = table.string("interface");
    table.missing("interface", "\"lan\"");
    table.finish();
    Some(RawLocal {
        address: address?.map(|address| address.0),
        interface: interface?.map(str::to_owned),
    })
}
