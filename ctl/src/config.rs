//! `config show`, `config apply`: what runs as a file, and a file as what runs.
//!
//! The primary reads, compares and writes them; the texts go by memory of their own, whatever their length.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use control::client::Client;
use control::message::{ConfigProgress, ErrorCode, Reply, Request};
use control::text;
use serde::Serialize;

use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Session, unexpected};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl config show > blue.toml
  tollgate-ctl config apply blue.toml --dry-run
  tollgate-ctl config apply blue.toml";

const APPLY: &str = "\
What differs is changed and the rest left alone, all or nothing; SIGHUP does the same with the file that the primary was
started with. The file says all that there is to be: addresses, static neighbours, sub-interfaces, and routes of the
protocols static and boot that are not in it are removed, those that were added by 'route add' included. Routes of other
protocols stay unless a file that was applied named them, or the subnet of their next hop goes.

Changed while packets flow: [log], addresses, up, sub-interfaces, [[route]], [[neighbor]], [[punt]], [router_alert]. All else
needs a restart of the primary, and a file that differs in it is refused, as is one with anything wrong in it: then nothing is
changed.

What both have works all the time. What is in the way of something new is removed first: an address that gets another prefix
length or goes to another interface, a sub-interface that gets another VLAN. What it reaches is interrupted for that moment.

With --dry-run each line is a change: '+' is added, '-' removed, '~' changed. With --json each is an object with action,
object and text.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what runs as a configuration file; applying that changes nothing
    Show,
    /// Change what runs to what a file says, all or nothing
    #[command(after_help = APPLY)]
    Apply(ApplyArguments),
}

#[derive(Debug, Args)]
struct ApplyArguments {
    /// The configuration, TOML as for 'tollgate-primary --config'; '-' is stdin
    file: PathBuf,

    /// Only say what would be changed
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// How often the primary is asked how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// How long another tool's request is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    match &arguments.verb {
        Some(Verb::Apply(applied)) => apply(applied, session),
        Some(Verb::Show) | None => show(session),
    }
}

fn show(session: &Session) -> Result<(), Failure> {
    let mut client = session.client()?;
    let (_, text) = ask(session, &mut client, &Request::ConfigShow, None)?;
    if session.options().json {
        let object = serde_json::json!({ "config": text });
        return Ok(writeln!(io::stdout(), "{object}")?);
    }
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn apply(arguments: &ApplyArguments, session: &Session) -> Result<(), Failure> {
    let text = read(&arguments.file)?;
    let mut client = session.client()?;
    let request = Request::ConfigApply {
        file: name(&arguments.file),
        dry_run: arguments.dry_run,
    };
    let (changes, lines) = ask(session, &mut client, &request, Some(&text))?;
    let mut out = io::stdout().lock();
    match (arguments.dry_run, session.options().json) {
        (true, false) => out.write_all(lines.as_bytes())?,
        (true, true) => {
            let changes: Vec<_> = lines.lines().filter_map(Change::parse).collect();
            writeln!(out, "{}", serde_json::to_string(&changes)?)?;
        }
        (false, true) => writeln!(out, "{}", serde_json::json!({ "changes": changes }))?,
        (false, false) => match changes {
            0 => writeln!(out, "nothing differs")?,
            1 => writeln!(out, "1 change")?,
            changes => writeln!(out, "{changes} changes")?,
        },
    }
    Ok(())
}

/// What messages call the file.
fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).map(|_| text)
    } else {
        fs::read(path)
    };
    read.map_err(|error| {
        let sentence = format!(
            "the configuration {} cannot be read ({error}): name another file",
            name(path)
        );
        Failure::refused(ErrorCode::Invalid, sentence)
    })
}

/// Asks for something that takes the primary a while; gives the number of changes and the text that came of it.
fn ask(
    session: &Session,
    client: &mut Client,
    request: &Request,
    text: Option<&[u8]>,
) -> Result<(u64, String), Failure> {
    begin(session, client, request, text)?;
    let mut bar = Bar::new("changes");
    let work = match text {
        Some(_) => "reading and comparing",
        None => "writing down what runs",
    };
    loop {
        let mut descriptors = Vec::new();
        match client.call_with(Request::ConfigResult, &mut descriptors)? {
            Reply::Config(ConfigProgress::Done { changes }) => {
                let text = descriptors.pop().ok_or_else(no_text)?;
                return Ok((changes, text::read(text).map_err(unreadable)?));
            }
            Reply::Config(ConfigProgress::Applying { done, all }) => bar.show(done, all),
            Reply::Config(ConfigProgress::Reading) => bar.show_work(work),
            other => return Err(unexpected(&other)),
        }
        thread::sleep(LOOK);
    }
}

/// Begins it, once the primary is done with that of another tool.
fn begin(
    session: &Session,
    client: &mut Client,
    request: &Request,
    text: Option<&[u8]>,
) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let begun = match text {
            Some(text) => {
                let text: OwnedFd = text::sealed(text).map_err(unreadable)?;
                client.call_handing(request.clone(), text).map_err(Failure::from)
            }
            None => session.call(client, request.clone()),
        };
        match begun {
            Ok(Reply::ConfigStarted) => return Ok(()),
            Ok(other) => return Err(unexpected(&other)),
            Err(Failure::Refused(error)) if error.code == ErrorCode::Busy && Instant::now() < until => {
                thread::sleep(LOOK);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn unreadable(error: text::TextError) -> Failure {
    Failure::refused(ErrorCode::Failed, error.to_string())
}

fn no_text() -> Failure {
    Failure::refused(
        ErrorCode::VersionMismatch,
        "the primary sent no text: use tools of the primary's build",
    )
}

/// A line of a dry run.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change<'a> {
    /// add, delete or change.
    action: &'static str,
    /// link, address, route, neighbor, punt, router_alert or log.
    object: &'a str,
    text: &'a str,
}

impl<'a> Change<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let action = match words.next()? {
            "+" => "add",
            "-" => "delete",
            "~" => "change",
            _ => return None,
        };
        Some(Self {
            action,
            object: words.next()?,
            text: words.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_dry_run_is_an_object() {
        let change =
            Change::parse("~ route 10.0.0.0/8 via 192.0.2.2 (was 10.0.0.0/8 via 192.0.2.3)").unwrap();
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"action":"change","object":"route","text":"10.0.0.0/8 via 192.0.2.2 (was 10.0.0.0/8 via 192.0.2.3)"}"#
        );
        assert_eq!(Change::parse("? route 10.0.0.0/8"), None);
    }
}
