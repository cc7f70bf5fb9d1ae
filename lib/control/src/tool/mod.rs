//! What the programs that attach to a primary do alike, whatever they are for.

mod program;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::CommandFactory;
use clap_complete::Shell;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

pub use program::{Arguments, Command, Failure, run};

/// What clap found wrong, as one sentence: without its hints and the usage.
pub fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    // Hints follow behind an empty line.
    let lines: Vec<_> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let sentence = lines.join(" ");
    sentence.strip_prefix("error: ").unwrap_or(&sentence).to_owned()
}

/// Prints the completion script of `tool` for a shell.
///
/// # Errors
///
/// It cannot be written.
pub fn print_completion<A: CommandFactory>(tool: &str, shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut A::command(), tool, &mut script);
    io::stdout().write_all(&script)
}

/// Prints the man page.
///
/// # Errors
///
/// It cannot be written.
pub fn print_man_page<A: CommandFactory>() -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(A::command()).render(&mut page)?;
    io::stdout().write_all(&page)
}

/// Set by the first SIGINT or SIGTERM. The second ends the process: a pipe that nobody reads may hold it up.
///
/// # Errors
///
/// The kernel takes no handler.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stopped))?;
        flag::register(signal, Arc::clone(&stopped))?;
    }
    Ok(stopped)
}

/// Set by each SIGHUP, which ends nothing from then on.
///
/// # Errors
///
/// The kernel takes no handler.
pub fn reload_flag() -> io::Result<Arc<AtomicBool>> {
    let reload = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&reload))?;
    Ok(reload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clap_says_becomes_one_sentence() {
        let command = clap::Command::new("tool").arg(clap::Arg::new("count").long("count"));
        let error = command
            .try_get_matches_from(["tool", "--cuont", "1"])
            .unwrap_err();
        assert_eq!(sentence(&error), "unexpected argument '--cuont' found");
    }
}
