//! Names of hosts in the file, and the addresses that they had. A daemon that runs has no socket to ask a server with, so names are looked
//! up when it starts, and keep their addresses until it is started anew.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

use ike_engine::IKE_PORT;

/// Names with their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    known: BTreeMap<String, IpAddr>,
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

    /// The address that `name` says or is; for a name, the first that it had when it was looked up. The error ends a sentence that
    /// begins with the key.
    pub(super) fn address(&mut self, name: &str) -> Result<IpAddr, String> {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        if let Some(known) = self.known.get(name) {
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
        let address = found.map(|found| found.ip()).next();
        let address = address.ok_or_else(|| format!("'{name}' has no address: write the address itself"))?;
        self.known.insert(name.to_owned(), address);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_addresses_when_nobody_can_be_asked() {
        let mut names = Names::default();
        let looked_up = names.address("localhost").unwrap();
        assert!(looked_up.is_loopback());
        let mut names = names.closed();
        assert_eq!(names.address("localhost"), Ok(looked_up));
        assert_eq!(names.address("192.0.2.1"), Ok("192.0.2.1".parse().unwrap()));
        let refused = names.address("localhost.").unwrap_err();
        assert!(refused.contains("only when the daemon starts"), "{refused}");
    }
}
