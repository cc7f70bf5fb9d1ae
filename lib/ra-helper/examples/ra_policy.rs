//! A helper that prints what packets say and sends them on.
//!
//! As a child of the relay (`exec = ["/usr/local/bin/ra_policy"]`), or with the path of a socket that the relay listens on:
//! `ra_policy /run/tollgate/policy.sock`.

#![forbid(unsafe_code)]

use std::path::Path;

use ra_helper::{Helper, HelperError, Verdict};
use router_alert::decode;

fn main() -> Result<(), HelperError> {
    let mut helper = match std::env::args_os().nth(1) {
        Some(path) => Helper::connect(Path::new(&path))?,
        None => Helper::stdio()?,
    };
    while let Some(packet) = helper.next() {
        let packet = packet?;
        // Standard output is the relay's where it is a pipe to it.
        eprintln!("{}: {}", packet.interface, decode::line(&packet.data));
        eprintln!("{}", decode::text(&packet.data).unwrap_or_default());
        helper.answer(packet.id, Verdict::Forward)?;
    }
    Ok(())
}
