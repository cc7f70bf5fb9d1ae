//! Says where some bytes are in the memory of a process; see [`tests::memory`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

/// Prints where bytes are in the memory of a process, as JSON.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The process.
    pid: u32,
    /// The bytes, as hex digits.
    bytes: String,
}

fn main() -> ExitCode {
    let Arguments { pid, bytes } = Arguments::parse();
    let pairs = bytes.as_bytes().chunks(2);
    let wanted: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        eprintln!("tg-memory: '{bytes}' are not hex digits");
        return ExitCode::from(2);
    };
    match tests::memory::search(pid, &wanted) {
        Ok(found) => {
            println!("{}", serde_json::json!(found));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tg-memory: cannot look into {pid}: {error}");
            ExitCode::FAILURE
        }
    }
}
