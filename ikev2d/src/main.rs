//! The IKEv2 daemon: reads its command line and its configuration, attaches, negotiates.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use control::tool;
use nix::sys::prctl;

use ikev2d::TOOL;
use ikev2d::arguments::{Arguments, Command};
use ikev2d::config::Config;
use ikev2d::daemon::Daemon;
use ikev2d::failure::Failure;
use ikev2d::notice::Notices;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            return Failure::Usage(tool::sentence(&error)).report(true);
        }
        Err(error) => error.exit(),
    };
    if arguments.check {
        return control::check::report(&arguments.instance, TOOL);
    }
    let outcome = match arguments.command {
        Some(Command::Completion { shell }) => {
            tool::print_completion::<Arguments>(TOOL, shell).map_err(Failure::from)
        }
        Some(Command::Man) => tool::print_man_page::<Arguments>().map_err(Failure::from),
        None => run(&arguments),
    };
    outcome.map_or_else(|failure| failure.report(arguments.json), |()| ExitCode::SUCCESS)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.config.as_deref();
    let path = path.ok_or_else(|| Failure::Usage("name the file with the peers with --config".to_owned()))?;
    // From before keys are read no core dump is made, and others of this user cannot look into this process.
    prctl::set_dumpable(false).map_err(io::Error::from)?;
    let config = Config::load(path)?;
    if arguments.check_config {
        return say_right(path, &config);
    }
    let directory = arguments.instance.choose()?;
    let notices = Notices {
        json: arguments.json,
        quiet: arguments.quiet,
    };
    let mut daemon = Daemon::attach(directory, path, config, notices)?;
    daemon.run();
    Ok(())
}

fn say_right(path: &Path, config: &Config) -> Result<(), Failure> {
    let mut out = io::stdout();
    let count = config.profiles.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(out, "{}: nothing wrong, {count} profile{plural}", path.display())?;
    for profile in &config.profiles {
        let remote = profile
            .remote_address
            .map_or_else(|| "anybody".to_owned(), |address| address.to_string());
        let (name, local, start) = (&profile.name, profile.local_address, profile.start_word());
        writeln!(out, "  {name}: {local} with {remote}, start {start}")?;
        for child in &profile.children {
            let list = |selectors: &[ikev2::wire::TrafficSelector]| {
                let words: Vec<String> = selectors.iter().map(ToString::to_string).collect();
                words.join(" ")
            };
            let (name, tunnel) = (&child.name, &child.tunnel);
            let (local, remote) = (list(&child.local), list(&child.remote));
            writeln!(out, "    {name}: tunnel {tunnel}, {local} with {remote}")?;
        }
    }
    Ok(())
}
