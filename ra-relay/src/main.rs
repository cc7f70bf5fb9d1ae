//! The router-alert relay: reads its command line and its configuration, attaches, relays, reports.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use control::client::Client;
use control::instance::InstanceDir;
use control::message::{PuntClass, PuntRequest, Request};
use control::punt::Punts;
use control::tool;
use serde_json::json;

use ra_relay::arguments::Arguments;
use ra_relay::class::Class;
use ra_relay::config::Config;
use ra_relay::failure::Failure;
use ra_relay::lines::Lines;
use ra_relay::notice::Notices;
use ra_relay::relay::{LOOK, Relay, Signals};
use ra_relay::report::Report;
use ra_relay::{TOOL, observe};

fn main() -> ExitCode {
    tool::run(run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if arguments.check_config {
        let path = arguments.config.as_deref();
        let path = path.ok_or_else(|| Failure::Usage("name the file to check with --config".to_owned()))?;
        return say_right(path, &config);
    }
    let directory = arguments.instance.choose()?;
    // Before packets come, so that from then on a signal ends it in an orderly way.
    let stopped = tool::stop_flag()?;
    let stopped = || stopped.load(Ordering::Relaxed);
    let lines = Lines::new(
        io::BufWriter::new(io::stdout()),
        arguments.json,
        arguments.rate,
        Instant::now(),
    );
    if arguments.observe {
        watch(arguments, &directory, lines, &stopped)
    } else {
        relay(arguments, &directory, config, lines, &stopped)
    }
}

/// Decides.
fn relay<W: Write>(
    arguments: &Arguments,
    directory: &InstanceDir,
    config: Config,
    lines: Lines<W>,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let reload = tool::reload_flag()?;
    let class = Class::of(Client::connect(directory, TOOL)?.call(Request::PuntShow)?)?;
    config.fits(class.deadline).map_err(Failure::TooLong)?;
    let request = PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe: false,
        rules: Some(config.rules.clone()),
    };
    let punts = Punts::start(directory, TOOL, request)?;
    let (rules, file) = (config.rules.len(), arguments.config.clone());
    let notices = Notices { json: arguments.json };
    let relay = Relay::new(directory.clone(), punts, (config, file), class, lines, notices)?;
    let mut relay = relay.with_patience(if arguments.busy { Duration::ZERO } else { LOOK });
    if !arguments.quiet {
        let name = directory.name();
        say(&if arguments.json {
            json!({ "relaying": { "instance": name.as_str(), "rules": rules } }).to_string()
        } else {
            format!("relaying for instance {name} by {rules} rules; Ctrl-C ends")
        });
    }
    let signals = Signals {
        stopped,
        reload: &|| reload.swap(false, Ordering::Relaxed),
    };
    let ended = relay.run(&signals);
    say_report(arguments, relay.report());
    ended
}

/// Only watches.
fn watch<W: Write>(
    arguments: &Arguments,
    directory: &InstanceDir,
    mut lines: Lines<W>,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let request = PuntRequest {
        classes: vec![PuntClass::RouterAlert],
        observe: true,
        rules: None,
    };
    let mut punts = Punts::start(directory, TOOL, request)?;
    if !arguments.quiet {
        let name = directory.name();
        say(&if arguments.json {
            json!({ "observing": { "instance": name.as_str() } }).to_string()
        } else {
            format!("observing instance {name}; Ctrl-C ends")
        });
    }
    let mut report = Report::default();
    let ended = observe::run(directory, &mut punts, &mut lines, &mut report, stopped);
    say_report(arguments, &report);
    ended
}

fn say_report(arguments: &Arguments, report: &Report) {
    if !arguments.quiet {
        say(&if arguments.json {
            json!({ "report": report.json() }).to_string()
        } else {
            report.text()
        });
    }
}

fn say_right(path: &Path, config: &Config) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(
        out,
        "{}: nothing wrong, {} rules",
        path.display(),
        config.rules.len()
    )?;
    for rule in &config.rules {
        writeln!(out, "  {}: {}", rule.rule, rule.handler)?;
    }
    for helper in &config.helpers {
        writeln!(out, "  helper {}", helper.name)?;
    }
    Ok(())
}

/// Says something on stderr; nobody is left to tell when that is closed.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
