//! The table region, as a tool reads it after whoever has written to it.

use std::fs;
use std::io::Write;
use std::sync::OnceLock;

use shm::records::{
    ALERT_RANGES, ALERT_RULES, Address, AlertRule, Interface, NO_PREFIX, Neighbor, NextHop, Route4, Route6,
    text,
};
use shm::{AlertCounter, Capacity, InterfaceCounter, TableReader, TableWriter};
use tempfile::{NamedTempFile, TempDir};
use zerocopy::FromZeros;

use super::patched;

const CAPACITY: Capacity = Capacity {
    interfaces: 2,
    addresses: 2,
    routes4: 3,
    routes6: 2,
    neighbors: 2,
    next_hops: 2,
    workers: 1,
    pools: 1,
    sas: 4,
};

/// Opens the region and reads all of it.
pub fn body(bytes: &[u8]) {
    static REGION: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let Some(region) = REGION.get_or_init(region) else {
        panic!("no region can be made");
    };
    let mut memory = patched(region, bytes);
    // A file that is cut short.
    if bytes.len() % 11 == 1 {
        memory.truncate(usize::from(bytes[bytes.len() - 1]) * 64);
    }
    let file = NamedTempFile::new().and_then(|mut file| file.write_all(&memory).map(|()| file));
    let Ok(file) = file else {
        return;
    };
    let Ok(reader) = TableReader::open(file.path()) else {
        return;
    };
    assert!(reader.interfaces().len() <= memory.len() && reader.addresses().len() <= memory.len());
    let _ = (reader.routes4(), reader.routes6(), reader.neighbors());
    let _ = (reader.next_hops(), reader.alert_generation());
    // What is no rule is none, and what is one is a rule that could be asked for.
    for listed in control::alerts::listed(&reader) {
        assert!(usize::from(listed.id) < ALERT_RULES);
        assert_eq!(control::alerts::check(&listed.rule), Ok(()));
    }
    let _ = (reader.workers(), reader.pools(), reader.usage(), reader.writer());
    assert_eq!(reader.bytes(), memory.len() as u64);
    let counters = reader.counters();
    let _ = counters.interface(0, InterfaceCounter::RxPackets);
    let _ = (counters.alert(0, AlertCounter::Matched), counters.punt_took());
}

/// A region with a record of each kind.
fn region() -> Option<Vec<u8>> {
    let folder = TempDir::new().ok()?;
    let path = folder.path().join("tables");
    let writer = TableWriter::create(&path, None, &CAPACITY).ok()?;
    writer.interfaces()?.insert(&Interface::new_zeroed())?;
    writer.addresses()?.insert(&Address::new_zeroed())?;
    writer.routes4()?.insert(&Route4::new_zeroed())?;
    writer.routes6()?.insert(&Route6::new_zeroed())?;
    writer.neighbors()?.insert(&Neighbor::new_zeroed())?;
    writer.next_hops()?.insert(&NextHop::new_zeroed())?;
    writer.alert_rules()?.set(1, &rule());
    writer.publish();
    fs::read(&path).ok()
}

fn rule() -> AlertRule {
    let mut ranges = [[0; 2]; ALERT_RANGES];
    (ranges[0], ranges[1]) = ([1, 1], [4, 35]);
    AlertRule {
        name: text("rsvp"),
        handler: text("strip pad"),
        source_length: NO_PREFIX,
        destination_length: NO_PREFIX,
        ranges,
        range_count: 2,
        origin: 1,
        ..AlertRule::new_zeroed()
    }
}
