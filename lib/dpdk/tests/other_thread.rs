//! EAL ends on the thread on which it was started.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod runtime_directory;

use dpdk::{Eal, ShutdownError};

#[test]
fn another_thread_cannot_shut_down() {
    let _directory = runtime_directory::temporary();
    let eal = Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ])
    .unwrap();
    let result = std::thread::spawn(move || eal.shutdown()).join().unwrap();
    assert!(matches!(result, Err(ShutdownError::OtherThread)), "{result:?}");
}
