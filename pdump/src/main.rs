//! Packet capture on a running instance: for now it can only say whether it could attach.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use control::arguments::InstanceArguments;

const EXAMPLES: &str = "\
Examples:
  tollgate-pdump --instance blue --check";

/// Filtered packet capture on a running instance
///
/// This build cannot capture yet. It can tell whether it could attach: with --check it connects to the
/// instance and compares versions and table layout.
#[derive(Debug, Parser)]
#[command(name = "tollgate-pdump", version = control::VERSION, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,

    /// Connect to the instance, say whether this tool could attach, and exit: 0 yes, 1 no
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.check {
        return control::check::report(&arguments.instance, "tollgate-pdump");
    }
    eprintln!(
        "error: this build of tollgate-pdump cannot capture packets yet: use --check to see whether it could attach"
    );
    ExitCode::FAILURE
}
