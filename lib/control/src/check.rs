//! `--check` of the tools: whether they could attach to an instance now.

use std::process::ExitCode;

use crate::VERSION;
use crate::arguments::InstanceArguments;
use crate::choose::ChooseError;
use crate::client::Client;

/// Says on stdout whether `tool` could attach to the instance: its primary answers and is of the same version and table
/// layout. Exit status 0 when it could, 1 when not, 2 when it is not clear which instance is meant.
pub fn report(arguments: &InstanceArguments, tool: &str) -> ExitCode {
    let failed = |status: u8, message: String| {
        eprintln!("error: {message}");
        ExitCode::from(status)
    };
    let directory = match arguments.choose() {
        Ok(directory) => directory,
        Err(error @ ChooseError::Several { .. }) => return failed(2, error.to_string()),
        Err(error) => return failed(1, error.to_string()),
    };
    match Client::connect(&directory, tool) {
        Ok(_) => {
            println!("instance {}: ready ({VERSION})", directory.name());
            ExitCode::SUCCESS
        }
        Err(error) => failed(1, error.to_string()),
    }
}
