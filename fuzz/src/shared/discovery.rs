//! The discovery page, as a tool reads it after whoever has written to it.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

use shm::{DiscoveryPage, DiscoveryReader, InstanceState};
use tempfile::NamedTempFile;

use super::patched;

/// Opens the page and reads all of it.
pub fn body(bytes: &[u8]) {
    static PAGE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let Some(page) = PAGE.get_or_init(page) else {
        panic!("no discovery page can be made");
    };
    let mut memory = patched(page, bytes);
    // A file that is cut short.
    if bytes.len() % 11 == 1 {
        memory.truncate(usize::from(bytes[bytes.len() - 1]) * 16);
    }
    let file = NamedTempFile::new().and_then(|mut file| file.write_all(&memory).map(|()| file));
    let Ok(file) = file else {
        return;
    };
    let Some(reader) = File::open(file.path())
        .ok()
        .and_then(|file| DiscoveryReader::of(&file))
    else {
        return;
    };
    // Each byte that is no UTF-8 becomes three.
    assert!(reader.version.len() <= 3 * memory.len());
    assert!(
        reader
            .last_error
            .is_none_or(|error| error.len() <= 3 * memory.len())
    );
    let _ = (reader.heartbeat.elapsed(), reader.started_at.elapsed());
}

/// A page on which everything is said.
fn page() -> Option<Vec<u8>> {
    let name = format!("/tollgate-fuzz-{}", std::process::id());
    let page = DiscoveryPage::create(&name, None, "0.1.0 (DPDK 22.11.11)").ok()?;
    page.set_state(InstanceState::Ready);
    page.set_last_error("port wan: no such device");
    std::fs::read(format!("/dev/shm{name}")).ok()
}
