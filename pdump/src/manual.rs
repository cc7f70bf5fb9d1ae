//! Completion scripts and the man page, made from the command line itself.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::TOOL;
use crate::arguments::Arguments;

/// Prints the completion script for a shell.
pub fn completion(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), TOOL, &mut script);
    io::stdout().write_all(&script)
}

/// Prints the man page.
pub fn page() -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    io::stdout().write_all(&page)
}
