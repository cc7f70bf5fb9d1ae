//! Arguments that EAL does not read are not silently ignored.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod runtime_directory;

use dpdk::{Eal, EalError};

#[test]
fn arguments_after_a_double_dash_are_refused() {
    let _directory = runtime_directory::temporary();
    let args = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
        "--",
        "-x",
        "y",
    ];
    let error = Eal::init(&args).unwrap_err();
    assert!(
        matches!(&error, EalError::NotRead { arguments } if arguments == &["-x", "y"]),
        "{error}"
    );
}
