//! Makes the SAs of the data plane those of the engine, after a process has ended between writing down and telling.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::output::{Path, SpiPair};
use crate::state::State;
use crate::{ChildSa, SaCommand, Time};

/// SAs of one pair that the data plane has: both, or one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Their SPIs. Of an inbound SA alone the outbound SPI may be 0.
    pub pair: SpiPair,
    /// Whether packets of the inbound SA are taken.
    pub inbound: bool,
    /// Whether the outbound SA is there.
    pub outbound: bool,
    /// Whether traffic goes out by it.
    pub in_use: bool,
    /// Where its packets go.
    pub path: Path,
}

/// The SAs of a child, as the data plane was given them when they were made.
#[derive(Debug)]
pub struct ChildSas {
    /// For packets that come in.
    pub inbound: Box<ChildSa>,
    /// For packets that go out.
    pub outbound: Box<ChildSa>,
    /// Whether traffic goes out by it.
    pub in_use: bool,
    /// Whether traffic goes out by it or has done so.
    pub was_used: bool,
}

impl Engine {
    /// All SAs that the data plane was given, or is to be: for a caller that has just restored them, and is to know whose those are that
    /// it finds there.
    pub fn child_sas(&self) -> Vec<ChildSas> {
        let mut all = Vec::new();
        for state in self.sas.values() {
            let State::Established(sa) = state else {
                continue;
            };
            let Some(profile) = self.core.profile(sa.profile) else {
                continue;
            };
            all.extend(sa.children.iter().map(|child| {
                let [inbound, outbound] = child.sas(&sa.channel, &profile);
                ChildSas {
                    inbound,
                    outbound,
                    in_use: child.in_use,
                    was_used: child.was_used,
                }
            }));
        }
        all
    }

    /// Gives commands, as outputs, after which the data plane has the SAs of this engine and no others. SAs that are there stay as they
    /// are, with their sequence numbers. One that is missing was never there: what is removed is gone from the records before.
    pub fn reconcile(&mut self, now: Time, installed: &[Installed]) {
        self.core.now = now;
        let there: BTreeMap<u32, &Installed> = installed.iter().map(|of| (of.pair.inbound, of)).collect();
        let mut known = BTreeSet::new();
        let mut commands = Vec::new();
        let mut switches = Vec::new();
        for state in self.sas.values() {
            let State::Established(sa) = state else {
                continue;
            };
            let Some(profile) = self.core.profile(sa.profile) else {
                continue;
            };
            for child in &sa.children {
                let pair = child.pair();
                known.insert(pair.inbound);
                let found = there
                    .get(&pair.inbound)
                    .filter(|found| found.pair.outbound == pair.outbound || !found.outbound);
                let has = |what: fn(&Installed) -> bool| found.is_some_and(|found| what(found));
                let [inbound, outbound] = child.sas(&sa.channel, &profile);
                if !has(|found| found.inbound) {
                    commands.push(SaCommand::InstallInbound(inbound));
                }
                if !has(|found| found.outbound) {
                    commands.push(SaCommand::InstallOutbound(outbound));
                }
                let path = sa.channel.path;
                if found.is_some_and(|found| found.path != path) {
                    commands.push(SaCommand::Move { pair, path });
                }
                if child.in_use && !has(|found| found.in_use) {
                    switches.push(SaCommand::Switch { from: None, to: pair });
                }
            }
        }
        commands.extend(switches);
        let lingering: BTreeSet<u32> = self.core.lingering.iter().map(|(_, spi)| *spi).collect();
        for found in installed
            .iter()
            .filter(|found| !known.contains(&found.pair.inbound))
        {
            if found.outbound {
                commands.push(SaCommand::RemoveOutbound(found.pair));
            }
            if found.inbound && !lingering.contains(&found.pair.inbound) {
                commands.push(SaCommand::RemoveInbound(found.pair.inbound));
            }
        }
        // What lingered and is gone already is not taken away once more.
        self.core
            .lingering
            .retain(|(_, spi)| there.get(spi).is_some_and(|found| found.inbound));
        commands
            .into_iter()
            .for_each(|command| self.core.command(command));
    }
}
