//! The router-alert relay: reads its command line and its configuration, attaches, relays, reports.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Parser;
use control::message::{PuntClass, PuntRequest};
use control::punt::Punts;
use control::tool;
use serde_json::json;

use ra_relay::arguments::{Arguments, Command};
use ra_relay::config::Config;
use ra_relay::failure::Failure;
use ra_relay::lines::Lines;
use ra_relay::report::Report;
use ra_relay::{TOOL, relay};

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
    let path = arguments.config.as_deref().ok_or_else(|| {
        Failure::Usage("there are no rules: name a file with --config; --help has an example".to_owned())
    })?;
    let config = Config::load(path)?;
    if arguments.check_config {
        return say_right(path, &config);
    }
    let directory = arguments.instance.choose()?;
    // Before packets come, so that from then on a signal ends it in an orderly way.
    let stopped = tool::stop_flag()?;
    let request = PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe: false,
        rules: Some(config.alerts()),
    };
    let mut punts = Punts::start(&directory, TOOL, request)?;
    if !arguments.quiet {
        let beginning = if arguments.json {
            json!({ "relaying": { "instance": directory.name().as_str(), "rules": config.rules.len() } })
                .to_string()
        } else {
            format!(
                "relaying for instance {} by {} rules; Ctrl-C ends",
                directory.name(),
                config.rules.len()
            )
        };
        say(&beginning);
    }
    let mut lines = Lines::new(
        io::BufWriter::new(io::stdout()),
        arguments.json,
        arguments.rate,
        Instant::now(),
    );
    let mut report = Report::new(config.rules.iter().map(|(rule, _)| rule.name.clone()));
    let ended = relay::run(&mut punts, &config, &mut lines, &mut report, &|| {
        stopped.load(Ordering::Relaxed)
    });
    if !arguments.quiet {
        say(&if arguments.json {
            json!({ "report": report.json() }).to_string()
        } else {
            report.text()
        });
    }
    ended
}

fn say_right(path: &Path, config: &Config) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(
        out,
        "{}: nothing wrong, {} rules",
        path.display(),
        config.rules.len()
    )?;
    for (rule, handler) in &config.rules {
        writeln!(out, "  {rule}: {handler}")?;
    }
    Ok(())
}

/// Says something on stderr; nobody is left to tell when that is closed.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
