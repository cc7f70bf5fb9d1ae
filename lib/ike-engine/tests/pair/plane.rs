//! A data plane that does what it is told, and fails when that makes no sense.

use std::collections::{BTreeMap, BTreeSet};

use ike_engine::{ChildSa, Installed, SaCommand};

/// Both by the SPIs that were chosen at this end.
#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) inbound: BTreeMap<u32, ChildSa>,
    pub(crate) outbound: BTreeMap<u32, ChildSa>,
    /// By which SA traffic of a child goes out.
    pub(crate) current: BTreeMap<String, u32>,
    pub(crate) log: Vec<String>,
}

impl Plane {
    pub(crate) fn apply(&mut self, command: SaCommand) {
        match command {
            SaCommand::InstallInbound(sa) => {
                self.log.push(format!("in+ {:08x}", sa.pair.inbound));
                let before = self.inbound.insert(sa.pair.inbound, *sa);
                assert!(before.is_none(), "an inbound SPI is there twice: {before:?}");
            }
            SaCommand::InstallOutbound(sa) => {
                self.log.push(format!("out+ {:08x}", sa.pair.inbound));
                let before = self.outbound.insert(sa.pair.inbound, *sa);
                assert!(before.is_none(), "an outbound SA is there twice: {before:?}");
            }
            SaCommand::Switch { from, to } => {
                self.log.push(format!("switch {:08x}", to.inbound));
                let sa = self
                    .outbound
                    .get(&to.inbound)
                    .expect("traffic goes to an SA that is there");
                assert_eq!(sa.pair, to);
                self.current.insert(sa.child.clone(), to.inbound);
                if let Some(from) = from {
                    assert!(
                        self.outbound.contains_key(&from.inbound),
                        "{from:?} was not there"
                    );
                }
            }
            SaCommand::RemoveOutbound(pair) => {
                self.log.push(format!("out- {:08x}", pair.inbound));
                let removed = self.outbound.remove(&pair.inbound);
                assert_eq!(removed.expect("an SA that is removed was there").pair, pair);
                self.current.retain(|_, current| *current != pair.inbound);
            }
            SaCommand::RemoveInbound(spi) => {
                self.log.push(format!("in- {spi:08x}"));
                let removed = self.inbound.remove(&spi);
                assert!(removed.is_some(), "{spi:08x} was no inbound SA");
            }
            SaCommand::Move { pair, path } => {
                let tables = [&mut self.inbound, &mut self.outbound];
                let moved = tables
                    .into_iter()
                    .filter_map(|table| table.get_mut(&pair.inbound));
                let moved = moved.map(|sa| sa.path = path).count();
                assert!(moved > 0, "an SA that moves is there");
            }
        }
    }

    /// What is there, as a data plane shows it.
    pub(crate) fn installed(&self) -> Vec<Installed> {
        let all: BTreeSet<u32> = self.inbound.keys().chain(self.outbound.keys()).copied().collect();
        let one = |spi: u32| {
            let sa = self
                .inbound
                .get(&spi)
                .or_else(|| self.outbound.get(&spi))
                .unwrap();
            Installed {
                pair: sa.pair,
                inbound: self.inbound.contains_key(&spi),
                outbound: self.outbound.contains_key(&spi),
                in_use: self.current.values().any(|current| *current == spi),
                path: sa.path,
            }
        };
        all.into_iter().map(one).collect()
    }

    /// Whether a packet of the other end's SA is taken here: the SA is there, with the same keys and the other's traffic.
    pub(crate) fn takes(&self, sent: &ChildSa) -> bool {
        self.inbound.get(&sent.pair.outbound).is_some_and(|sa| {
            assert_eq!(sa.key.expose(), sent.key.expose(), "both ends have other keys");
            assert_eq!((sa.suite, sa.in_udp), (sent.suite, sent.in_udp));
            assert_eq!((&sa.ours, &sa.theirs), (&sent.theirs, &sent.ours));
            true
        })
    }
}
