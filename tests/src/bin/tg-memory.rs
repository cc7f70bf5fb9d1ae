//! Says where some bytes are in the memory of a process, or how often in a file; see [`tests::memory`].

#![forbid(unsafe_code)]

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tests::memory;

/// Prints as JSON where bytes are.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    place: Place,
}

#[derive(Subcommand)]
enum Place {
    /// Where in the memory of a process, and of what kind that is.
    Process {
        /// The process.
        pid: u32,
        /// The bytes, as hex digits.
        bytes: String,
    },
    /// How often in a file.
    File {
        /// The file.
        path: PathBuf,
        /// The bytes, as hex digits.
        bytes: String,
    },
}

fn parse(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    bytes.filter(|bytes| !bytes.is_empty())
}

impl Place {
    fn bytes(&self) -> &str {
        let (Self::Process { bytes, .. } | Self::File { bytes, .. }) = self;
        bytes
    }

    fn search(&self, wanted: &[u8]) -> io::Result<Value> {
        Ok(match self {
            Self::Process { pid, .. } => json!(memory::search(*pid, wanted)?),
            Self::File { path, .. } => json!(memory::count_in_file(path, wanted)?),
        })
    }
}

fn main() -> ExitCode {
    let Arguments { place } = Arguments::parse();
    let Some(wanted) = parse(place.bytes()) else {
        eprintln!("tg-memory: '{}' are not hex digits", place.bytes());
        return ExitCode::from(2);
    };
    match place.search(&wanted) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let place = match place {
                Place::Process { pid, .. } => format!("process {pid}"),
                Place::File { path, .. } => path.display().to_string(),
            };
            eprintln!("tg-memory: cannot look into {place}: {error}");
            ExitCode::FAILURE
        }
    }
}
