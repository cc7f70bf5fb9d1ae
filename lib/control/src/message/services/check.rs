//! What can be a service, wherever it is said.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{
    LocalAddress, PREFIXES_PER_SERVICE, RealServer, SERVERS_PER_SERVICE, Service, ServiceChange, ServiceId,
    ServiceOptions, ServiceProtocol,
};

/// What is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFault {
    /// The key of the configuration that says it.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub sentence: String,
}

impl From<ServiceFault> for String {
    fn from(fault: ServiceFault) -> Self {
        fault.sentence
    }
}

impl ServiceFault {
    fn of(key: &'static str, sentence: String) -> Self {
        Self { key, sentence }
    }
}

/// Why no packets can go to or come from the address, if so.
fn unfit(address: IpAddr) -> Option<&'static str> {
    let is_broadcast = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    let is_link_local = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_broadcast {
        Some("it is no address that a host can have")
    } else if is_link_local {
        Some("link-local addresses do not leave their link")
    } else {
        None
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

impl ServiceId {
    /// Fails when there can be no such service.
    pub fn check(&self) -> Result<(), ServiceFault> {
        let fault = |sentence| Err(ServiceFault::of("address", sentence));
        let is_icmp = self.protocol.is_icmp();
        match (self.protocol, self.address) {
            (ServiceProtocol::Icmp, IpAddr::V6(_)) => {
                return fault(format!("{self}: ICMP is IPv4's: use icmpv6"));
            }
            (ServiceProtocol::Icmpv6, IpAddr::V4(_)) => {
                return fault(format!("{self}: ICMPv6 is IPv6's: use icmp"));
            }
            (_, address) => {
                if let Some(why) = unfit(address) {
                    return fault(format!(
                        "{self}: {address} is no address that clients can reach: {why}"
                    ));
                }
            }
        }
        if is_icmp && self.port != 0 {
            return fault(format!(
                "{self}: a service of {} has no port: write {}",
                self.protocol,
                SocketAddr::new(self.address, 0)
            ));
        }
        if !is_icmp && self.port == 0 {
            return fault(format!(
                "{self}: a service of {} needs a port from 1 to 65535",
                self.protocol
            ));
        }
        Ok(())
    }

    fn is_family(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
    }
}

impl ServiceProtocol {
    /// Whether it has no ports.
    pub fn is_icmp(self) -> bool {
        matches!(self, Self::Icmp | Self::Icmpv6)
    }
}

impl ServiceOptions {
    /// The longest timeout, seconds: a week.
    pub const MAX_TIMEOUT: u32 = 7 * 24 * 3600;

    /// Seconds that a connection of ICMP queries lives at least without packets, unless it is said that it may be fewer: RFC 5508 REQ-2.
    pub const LEAST_ICMP_TIMEOUT: u32 = 60;

    /// Fails when a service that is known by `id` cannot be like that.
    pub fn check(&self, id: &ServiceId) -> Result<(), ServiceFault> {
        if self.icmp_short && !id.protocol.is_icmp() {
            let sentence = format!(
                "{id}: any timeout may be short but those of icmp and icmpv6: leave icmp_short (--force) out"
            );
            return Err(ServiceFault::of("icmp_short", sentence));
        }
        if self.toa && id.protocol != ServiceProtocol::Tcp {
            let sentence = format!("{id}: toa is an option of TCP: leave it off");
            return Err(ServiceFault::of("toa", sentence));
        }
        if let Some(timeout) = self
            .timeout
            .filter(|timeout| !(1..=Self::MAX_TIMEOUT).contains(timeout))
        {
            let sentence = format!(
                "{id}: a timeout of {timeout} seconds is out of range: use 1 to {}",
                Self::MAX_TIMEOUT
            );
            return Err(ServiceFault::of("timeout", sentence));
        }
        if let Some(timeout) = self.timeout.filter(|_| id.protocol.is_icmp() && !self.icmp_short)
            && timeout < Self::LEAST_ICMP_TIMEOUT
        {
            let sentence = format!(
                "{id}: a timeout of {timeout} seconds ends pings that are still answered: use {} or more (RFC 5508 REQ-2), or say that it \
                 may be less, by icmp_short = true in a file and by --force on a command line",
                Self::LEAST_ICMP_TIMEOUT
            );
            return Err(ServiceFault::of("timeout", sentence));
        }
        for (key, prefixes) in [("allow", &self.allow), ("deny", &self.deny)] {
            check_prefixes(id, key, prefixes)?;
        }
        Ok(())
    }

    /// The same as it is compared: each prefix once, with no bits behind its length, and a short timeout allowed only where there is one.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.icmp_short &= self
            .timeout
            .is_some_and(|timeout| timeout < Self::LEAST_ICMP_TIMEOUT);
        for prefixes in [&mut self.allow, &mut self.deny] {
            prefixes.iter_mut().for_each(|prefix| *prefix = prefix.trunc());
            prefixes.sort_unstable();
            prefixes.dedup();
        }
        self
    }
}

fn check_prefixes(id: &ServiceId, key: &'static str, prefixes: &[IpNet]) -> Result<(), ServiceFault> {
    if prefixes.len() > PREFIXES_PER_SERVICE {
        let sentence = format!(
            "{id}: {key} has {} prefixes, and there may be {PREFIXES_PER_SERVICE}: use shorter ones",
            prefixes.len()
        );
        return Err(ServiceFault::of(key, sentence));
    }
    match prefixes.iter().find(|prefix| !id.is_family(prefix.addr())) {
        None => Ok(()),
        Some(other) => {
            let sentence = format!(
                "{id}: {other} in {key} is no prefix of {}, as its clients are: remove it",
                family(id.address)
            );
            Err(ServiceFault::of(key, sentence))
        }
    }
}

impl ServiceChange {
    /// What a service is like that was like `before`.
    #[must_use]
    pub fn apply(&self, before: &ServiceOptions) -> ServiceOptions {
        ServiceOptions {
            scheduler: self.scheduler.unwrap_or(before.scheduler),
            toa: self.toa.unwrap_or(before.toa),
            fast_xmit: self.fast_xmit.unwrap_or(before.fast_xmit),
            allow: self.allow.clone().unwrap_or_else(|| before.allow.clone()),
            deny: self.deny.clone().unwrap_or_else(|| before.deny.clone()),
            timeout: match self.timeout {
                None => before.timeout,
                Some(0) => None,
                Some(seconds) => Some(seconds),
            },
            icmp_short: match (self.icmp_short, self.timeout) {
                (Some(said), _) => said,
                (None, Some(_)) => false,
                (None, None) => before.icmp_short,
            },
        }
    }
}

impl RealServer {
    /// Its address and port, by which a service knows it.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Fails when a service that is known by `id` cannot have this server.
    pub fn check(&self, id: &ServiceId) -> Result<(), ServiceFault> {
        let fault = |sentence| Err(ServiceFault::of("servers", sentence));
        if let Some(why) = unfit(self.address) {
            return fault(format!("{id}: {} cannot be a server: {why}", self.address));
        }
        if !id.is_family(self.address) {
            return fault(format!(
                "{id}: the server {} is not of {}, as the service is: give one that is",
                self.address,
                family(id.address)
            ));
        }
        if self.address == id.address {
            return fault(format!(
                "{id}: the server {} is the service itself: give another",
                self.at()
            ));
        }
        match (id.protocol.is_icmp(), self.port) {
            (true, 0) | (false, 1..) => Ok(()),
            (true, _) => fault(format!(
                "{id}: a server of {} has no port: write {}",
                id.protocol, self.address
            )),
            (false, 0) => fault(format!(
                "{id}: the server {} needs a port from 1 to 65535",
                self.address
            )),
        }
    }
}

impl LocalAddress {
    /// Fails when a service that is known by `id` cannot have this local address.
    pub fn check(&self, id: &ServiceId) -> Result<(), ServiceFault> {
        let fault = |sentence| Err(ServiceFault::of("local_addresses", sentence));
        if let Some(why) = unfit(self.address) {
            return fault(format!("{id}: {} cannot be a local address: {why}", self.address));
        }
        if !id.is_family(self.address) {
            return fault(format!(
                "{id}: the local address {} is not of {}, as the servers are: give one that is",
                self.address,
                family(id.address)
            ));
        }
        if self.address == id.address {
            return fault(format!(
                "{id}: its own address cannot be a local address as well: give another"
            ));
        }
        Ok(())
    }
}

impl Service {
    /// Fails when there can be no such service.
    pub fn check(&self) -> Result<(), ServiceFault> {
        let id = &self.id;
        id.check()?;
        self.options.check(id)?;
        let mut servers = HashSet::new();
        for server in &self.servers {
            server.check(id)?;
            if !servers.insert(server.at()) {
                let sentence = format!("{id}: the server {} is there twice: remove one", server.at());
                return Err(ServiceFault::of("servers", sentence));
            }
        }
        let mut locals = HashSet::new();
        for local in &self.locals {
            local.check(id)?;
            if !locals.insert(local.address) {
                let sentence = format!(
                    "{id}: the local address {} is there twice: remove one",
                    local.address
                );
                return Err(ServiceFault::of("local_addresses", sentence));
            }
        }
        for (key, what, count) in [
            ("servers", "servers", self.servers.len()),
            ("local_addresses", "local addresses", self.locals.len()),
        ] {
            if count > SERVERS_PER_SERVICE {
                let sentence = format!(
                    "{id}: there are {count} {what}, and a service has {SERVERS_PER_SERVICE} at most"
                );
                return Err(ServiceFault::of(key, sentence));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scheduler;
    use super::*;

    fn service(protocol: ServiceProtocol, address: &str) -> Service {
        let address: SocketAddr = address.parse().unwrap();
        Service {
            id: ServiceId {
                protocol,
                address: address.ip(),
                port: address.port(),
            },
            options: ServiceOptions::new(Scheduler::Rr),
            servers: Vec::new(),
            locals: Vec::new(),
        }
    }

    fn fault(service: &Service) -> (&'static str, String) {
        let fault = service.check().unwrap_err();
        (fault.key, fault.sentence)
    }

    #[test]
    fn a_service_has_a_port_but_of_icmp() {
        use ServiceProtocol::{Icmp, Icmpv6, Tcp};
        assert_eq!(service(Tcp, "10.0.0.100:80").check(), Ok(()));
        assert_eq!(service(Icmp, "10.0.0.100:0").check(), Ok(()));
        assert_eq!(service(Icmpv6, "[2001:db8::1]:0").check(), Ok(()));
        let (key, sentence) = fault(&service(Tcp, "10.0.0.100:0"));
        assert_eq!(key, "address");
        assert!(sentence.contains("needs a port"), "{sentence}");
        let (_, sentence) = fault(&service(Icmp, "10.0.0.100:80"));
        assert!(sentence.contains("has no port: write 10.0.0.100:0"), "{sentence}");
        let (_, sentence) = fault(&service(Icmp, "[2001:db8::1]:0"));
        assert!(sentence.contains("use icmpv6"), "{sentence}");
    }

    #[test]
    fn what_no_host_can_have_is_no_address_of_a_service_server_or_local() {
        for address in [
            "0.0.0.0:80",
            "127.0.0.1:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "[::1]:80",
            "[fe80::1]:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            let unfit = service(ServiceProtocol::Tcp, address);
            assert_eq!(fault(&unfit).0, "address", "{address}");
            let mut good = service(ServiceProtocol::Tcp, "10.0.0.100:80");
            good.servers.push(RealServer::new(unfit.id.address, 80));
            assert_eq!(fault(&good).0, "servers", "{address}");
            good.servers.clear();
            good.locals.push(LocalAddress {
                address: unfit.id.address,
                interface: "lan".to_owned(),
            });
            assert_eq!(fault(&good).0, "local_addresses", "{address}");
        }
    }

    #[test]
    fn options_that_a_service_cannot_have_are_named_by_their_keys() {
        let mut udp = service(ServiceProtocol::Udp, "10.0.0.100:53");
        udp.options.toa = true;
        assert_eq!(fault(&udp).0, "toa");
        udp.options = ServiceOptions {
            timeout: Some(0),
            ..ServiceOptions::new(Scheduler::Rr)
        };
        assert_eq!(fault(&udp).0, "timeout");
        udp.options = ServiceOptions::new(Scheduler::Rr);
        udp.options.deny = vec!["2001:db8::/32".parse().unwrap()];
        assert_eq!(fault(&udp).0, "deny");
        udp.options.deny.clear();
        udp.options.allow = vec!["10.0.0.0/8".parse().unwrap(); PREFIXES_PER_SERVICE + 1];
        assert_eq!(fault(&udp).0, "allow");
        assert_eq!(udp.options.normal().allow.len(), 1);
    }

    #[test]
    fn req_icmp_31_pings_of_a_service_end_after_a_minute_or_more_unless_forced() {
        for (protocol, address) in [
            (ServiceProtocol::Icmp, "10.0.0.100:0"),
            (ServiceProtocol::Icmpv6, "[2001:db8::1]:0"),
        ] {
            let mut ping = service(protocol, address);
            ping.options.timeout = Some(59);
            let (key, sentence) = fault(&ping);
            assert_eq!(key, "timeout");
            for said in ["59 seconds", "use 60 or more", "icmp_short = true", "--force"] {
                assert!(sentence.contains(said), "{sentence}");
            }
            ping.options.icmp_short = true;
            assert_eq!(ping.check(), Ok(()));
            assert!(ping.options.clone().normal().icmp_short);
            // Whoever says another timeout is to say it again.
            let change = |timeout, icmp_short| ServiceChange {
                timeout,
                icmp_short,
                ..ServiceChange::default()
            };
            ping.options = change(Some(30), None).apply(&ping.options);
            assert_eq!(fault(&ping).0, "timeout");
            ping.options = change(Some(30), Some(true)).apply(&ping.options);
            ping.options = change(None, None).apply(&ping.options);
            assert_eq!(ping.check(), Ok(()));
            ping.options.timeout = Some(60);
            assert!(!ping.options.clone().normal().icmp_short);
            ping.options.icmp_short = false;
            assert_eq!(ping.check(), Ok(()));
        }
        let mut udp = service(ServiceProtocol::Udp, "10.0.0.100:53");
        udp.options.timeout = Some(1);
        assert_eq!(udp.check(), Ok(()));
        udp.options.icmp_short = true;
        assert_eq!(fault(&udp).0, "icmp_short");
    }

    #[test]
    fn a_server_or_local_address_is_there_once_and_of_the_services_family() {
        let mut tcp = service(ServiceProtocol::Tcp, "10.0.0.100:80");
        tcp.servers = vec![RealServer::new([192, 0, 2, 1].into(), 80); 2];
        assert!(fault(&tcp).1.contains("192.0.2.1:80 is there twice"));
        tcp.servers = vec![RealServer::new("2001:db8::1".parse().unwrap(), 80)];
        assert!(fault(&tcp).1.contains("not of IPv4"));
        tcp.servers = (0..=SERVERS_PER_SERVICE)
            .map(|port| RealServer::new([192, 0, 2, 1].into(), 1 + port as u16))
            .collect();
        assert!(fault(&tcp).1.contains("257 servers"));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_say() {
        let mut before = ServiceOptions::new(Scheduler::Wlc);
        before.timeout = Some(7);
        before.toa = true;
        let change = ServiceChange {
            toa: Some(false),
            ..ServiceChange::default()
        };
        let after = change.apply(&before);
        assert_eq!(
            (after.scheduler, after.toa, after.timeout),
            (Scheduler::Wlc, false, Some(7))
        );
        let change = ServiceChange {
            timeout: Some(0),
            ..ServiceChange::default()
        };
        assert_eq!(change.apply(&before).timeout, None);
    }
}
