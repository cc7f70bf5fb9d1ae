//! The IKEv2 daemon: reads its command line and its configuration, attaches, negotiates.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use control::tool;

use ikev2d::arguments::Arguments;
use ikev2d::config::Config;
use ikev2d::confinement;
use ikev2d::daemon::Daemon;
use ikev2d::failure::Failure;
use ikev2d::notice::Notices;

fn main() -> ExitCode {
    tool::run(run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.config.as_deref();
    let path = path.ok_or_else(|| Failure::Usage("name the file with the peers with --config".to_owned()))?;
    let directory = match arguments.check_config {
        true => None,
        false => Some(arguments.instance.choose()?),
    };
    confinement::give_up_rights(arguments.user.as_deref(), directory.as_ref())?;
    let config = Config::load(path)?;
    let Some(directory) = directory else {
        return say_right(path, &config);
    };
    confinement::install()?;
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
