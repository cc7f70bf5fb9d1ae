//! `monitor`: events as they happen, one JSON object per line.

use std::io::{self, Write};

use clap::Args;
use control::event::{Event, Subscription};
use control::message::{ErrorCode, Reply, Request};

use crate::failure::Failure;
use crate::session::{Session, unexpected};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl monitor
  tollgate-ctl -I blue monitor --count 1

The first line is {\"event\": \"subscribed\", ...}: from there on nothing is missed. Ends when the primary stops.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// End after so many lines, the first one included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let directory = session.directory()?;
    let mut client = session.client()?;
    let refused = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
            _ => ErrorCode::Failed,
        };
        Failure::refused(
            code,
            format!("cannot listen in {}: {error}", directory.events().display()),
        )
    };
    let subscription = Subscription::new(directory).map_err(refused)?;
    match session.call(
        &mut client,
        Request::Subscribe {
            server: subscription.server().to_owned(),
        },
    )? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    let (events, mut event) = subscription.accept().map_err(|error| {
        let name = directory.name();
        Failure::refused(
            ErrorCode::InstanceDead,
            format!(
                "no events come from '{name}', which promised some: {error}; see 'tollgate-ctl instance show'"
            ),
        )
    })?;
    let mut printed = 0;
    loop {
        // A line at a time, so that who reads along sees each event at once.
        writeln!(io::stdout().lock(), "{}", event.to_json())?;
        printed += 1;
        if event == Event::Stopping || arguments.count.is_some_and(|count| printed >= count) {
            return Ok(());
        }
        event = events.recv().map_err(|_| {
            let name = directory.name();
            Failure::refused(
                ErrorCode::InstanceDead,
                format!("no more events come from '{name}': its primary died, or cut this tool off for reading too slowly"),
            )
        })?;
    }
}
