//! A start that fails says why, and cannot be repeated.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod runtime_directory;

use dpdk::{Eal, EalError};

#[test]
fn a_failed_start_carries_what_dpdk_said() {
    let _directory = runtime_directory::temporary();
    let args = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-l",
        "0",
        "-d",
        "/no/such/driver.so",
    ];
    let error = Eal::init(&args).unwrap_err();
    let EalError::Init { log, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        log.lines().iter().any(|line| line.contains("/no/such/driver.so")),
        "{error}"
    );
    assert!(error.to_string().starts_with("DPDK did not start: "), "{error}");
    assert!(
        log.last().is_some_and(|last| error.to_string().contains(last)),
        "{error}"
    );

    let again = Eal::init(&args[..7]).unwrap_err();
    assert!(matches!(again, EalError::AlreadyStarted), "{again}");
}
