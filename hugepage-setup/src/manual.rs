//! Completion scripts and man pages, made from the command line itself.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::error::Error;

/// Prints the completion script for a shell.
pub(crate) fn completion(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "tollgate-hugepage-setup",
        &mut script,
    );
    print(&script)
}

/// Prints the man page of the tool or of one of its commands.
pub(crate) fn page(name: Option<&str>) -> Result<(), Error> {
    let mut all = Arguments::command();
    // Gives the commands their full names.
    all.build();
    let command = name
        .and_then(|name| all.find_subcommand(name))
        .unwrap_or(&all)
        .clone();
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(stdout)?;
    print(&page)
}

fn print(text: &[u8]) -> Result<(), Error> {
    io::stdout().write_all(text).map_err(stdout)
}

fn stdout(source: io::Error) -> Error {
    Error::io("write to", Path::new("the standard output"))(source)
}
