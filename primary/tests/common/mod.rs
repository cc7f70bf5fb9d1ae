//! What the programs of this folder have in common.

use dpdk::Eal;
use tempfile::TempDir;

/// An EAL on one CPU without hugepages and devices, of which nothing is left when the folder goes.
pub(crate) fn eal() -> (TempDir, Eal) {
    let folder = tempfile::tempdir().unwrap();
    dpdk::set_runtime_directory(folder.path()).unwrap();
    let options = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ];
    (folder, Eal::init(&options).unwrap())
}
