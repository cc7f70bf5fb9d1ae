//! Names of hosts in the file, and the addresses that they had. A daemon that runs has no socket to ask a server with, so names are looked
//! up when it starts, and keep their addresses until it is started anew.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

use ike_engine::IKE_PORT;

/// Of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Ip4,
    Ip6,
}

impl Family {
    fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ip4 } else { Self::Ip6 }
    }
}

/// Names with their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    known: BTreeMap<(String, Option<Family>), IpAddr>,
    /// Whether there is nobody to ask any more.
    is_closed: bool,
}

impl Names {
    /// These, and no others.
    pub(super) fn closed(&self) -> Self {
        Self {
            known: self.known.clone(),
            is_closed: true,
        }
    }

    /// The address that `name` says or is; for a name, the first that it had when it was looked up, of the family of `like` where it has one
    /// of that. The error ends a sentence that begins with the key.
    pub(super) fn address(&mut self, name: &str, like: Option<IpAddr>) -> Result<IpAddr, String> {
        let family = like.map(Family::of);
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        let key = (name.to_owned(), family);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        if self.is_closed {
            return Err(format!(
                "'{name}' is looked up only when the daemon starts: write the address itself, or start the daemon anew, which goes on with \
                 the IKE SAs of this one"
            ));
        }
        let found = (name, IKE_PORT).to_socket_addrs().map_err(|error| {
            format!(
                "'{name}' is no address, and as a name it leads nowhere ({error}): write the address itself"
            )
        })?;
        let found: Vec<IpAddr> = found.map(|found| found.ip()).collect();
        let is_like = |address: &&IpAddr| family.is_none_or(|family| Family::of(**address) == family);
        let address = found.iter().find(is_like).or(found.first()).copied();
        let address = address.ok_or_else(|| format!("'{name}' has no address: write the address itself"))?;
        self.known.insert(key, address);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_addresses_when_nobody_can_be_asked() {
        let mut names = Names::default();
        let looked_up = names.address("localhost", None).unwrap();
        assert!(looked_up.is_loopback());
        let mut names = names.closed();
        assert_eq!(names.address("localhost", None), Ok(looked_up));
        assert_eq!(names.address("192.0.2.1", None), Ok("192.0.2.1".parse().unwrap()));
        let refused = names.address("localhost.", None).unwrap_err();
        assert!(refused.contains("only when the daemon starts"), "{refused}");
    }

    #[test]
    fn a_name_has_an_address_of_the_family_that_is_needed() {
        let mut names = Names::default();
        // Wherever localhost has addresses of both, each is had; where it has one, that is.
        let both: Vec<IpAddr> = ("localhost", IKE_PORT)
            .to_socket_addrs()
            .unwrap()
            .map(|found| found.ip())
            .collect();
        for like in ["192.0.2.1", "2001:db8::1"] {
            let like: IpAddr = like.parse().unwrap();
            let has = both.iter().any(|address| address.is_ipv4() == like.is_ipv4());
            let found = names.address("localhost", Some(like)).unwrap();
            assert_eq!(found.is_ipv4() == like.is_ipv4(), has);
        }
    }
}
