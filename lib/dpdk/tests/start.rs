//! EAL starts once, logs to the sink, and ends.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod runtime_directory;

use std::sync::Mutex;

use dpdk::log::{self, LogLevel};
use dpdk::{Eal, EalError, Port, PortError};

static LINES: Mutex<Vec<(LogLevel, String)>> = Mutex::new(Vec::new());

fn remember(level: LogLevel, line: &str) {
    LINES.lock().unwrap().push((level, line.to_owned()));
}

#[test]
fn eal_starts_once_and_logs_to_the_sink() {
    let _directory = runtime_directory::temporary();
    log::set_sink(remember);
    let args = [
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "64",
        "-l",
        "0",
    ];
    let eal = Eal::init(&args).unwrap();
    let info = LINES
        .lock()
        .unwrap()
        .iter()
        .filter(|(level, _)| *level == LogLevel::Info)
        .count();
    assert!(info > 0, "{:?}", LINES.lock().unwrap());
    assert!(
        LINES
            .lock()
            .unwrap()
            .iter()
            .all(|(_, line)| line.starts_with("EAL: ")),
        "{:?}",
        LINES.lock().unwrap()
    );

    assert!(matches!(Eal::init(&args), Err(EalError::AlreadyStarted)));

    let error = Port::probe(&eal, "net_no_such_driver0").unwrap_err();
    let lines = LINES.lock().unwrap();
    let (_, last) = lines
        .iter()
        .rfind(|(level, _)| *level == LogLevel::Error)
        .unwrap();
    assert!(matches!(error, PortError::Probe { log, .. } if log.last() == Some(last)));
    drop(lines);

    eal.shutdown().unwrap();
    assert!(matches!(Eal::init(&args), Err(EalError::AlreadyStarted)));
}
