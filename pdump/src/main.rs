//! The capture tool: reads its command line, compiles the filter, and captures or reads files.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use control::tool;

use pdump::arguments::Arguments;
use pdump::failure::Failure;
use pdump::filter::{Filter, listing};
use pdump::{reread, session};

fn main() -> ExitCode {
    tool::run(run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = Filter::compile_both(&arguments.filter, arguments.filters.keys.as_ref())?;
    if arguments.dump {
        io::stdout().write_all(listing(&filter.program).as_bytes())?;
        return Ok(());
    }
    if !arguments.files.read.is_empty() {
        return reread::run(arguments, filter);
    }
    session::run(arguments, filter)
}
