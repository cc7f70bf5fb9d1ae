//! The table region, as a tool reads it after whoever has written to it.

use std::fs;
use std::io::Write;
use std::sync::OnceLock;

use shm::records::{
    ALERT_RANGES, ALERT_RULES, Address, AlertRule, Interface, NO_PREFIX, Neighbor, NextHop, Route4, Route6,
    Sa, SaSelector, ip_field, text,
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
    // Nor is what is no SA one, and no selector is another's.
    for listed in control::sas::listed(&reader) {
        assert_eq!(control::sas::check(&listed.sa), Ok(()));
    }
    let _ = reader.sa_counts(u32::from(bytes.first().copied().unwrap_or_default()));
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
    writer.sas()?.insert(&sa(), &[selector()])?;
    writer.publish();
    fs::read(&path).ok()
}

fn sa() -> Sa {
    let address = |last| ip_field([192, 0, 2, last].into());
    Sa {
        source: address(1),
        destination: address(2),
        transform: text("aes256gcm16"),
        number: 1,
        spi: 0x1000,
        window: 64,
        selectors: 1,
        direction: 1,
        mode: 1,
        state: 1,
        ..Sa::new_zeroed()
    }
}

fn selector() -> SaSelector {
    let address = ip_field([10, 0, 0, 1].into());
    SaSelector {
        sa: 1,
        source_first: address,
        source_last: address,
        destination_first: address,
        destination_last: address,
        source_ports: [0, u16::MAX],
        destination_ports: [0, u16::MAX],
        ..SaSelector::new_zeroed()
    }
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
