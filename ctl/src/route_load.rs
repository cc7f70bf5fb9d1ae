//! Many routes to a primary: in batches, with a bar that says how far it is.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use control::client::Client;
use control::message::{ErrorCode, ROUTES_PER_REQUEST, Reply, Request, Route};
use shm::records::from_text;

use crate::failure::Failure;
use crate::prefix::FamilyArguments;
use crate::progress::Bar;
use crate::route_file;
use crate::session::{Session, unexpected};

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// The output of 'ip route show', or routes as 'route add' takes them, one per line; '-' is stdin; '#' begins a comment
    file: PathBuf,

    /// Load what can be loaded, and say what cannot
    #[arg(long)]
    skip_invalid: bool,

    #[command(flatten)]
    family: FamilyArguments,
}

pub(crate) fn run(arguments: &LoadArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let names = interface_names(session)?;
    let interface = |name: &str| {
        let found = names
            .iter()
            .find(|(own, _)| own == name)
            .or_else(|| names.iter().find(|(_, device)| device == name));
        found.map(|(own, _)| own.clone())
    };
    let mut contents = route_file::read(&arguments.file, arguments.family.family(), &interface)?;
    if !arguments.skip_invalid {
        contents = contents.whole()?;
    }
    let began = Instant::now();
    let mut client = session.client()?;
    let mut load = Load {
        session,
        client: &mut client,
        replace: true,
        refused: arguments.skip_invalid.then(Vec::new),
        lines: &contents.lines,
        bar: Bar::new("routes"),
    };
    load.send(&contents.routes)?;
    load.bar.clear();
    let refused = load.refused.unwrap_or_default();
    for fault in contents.faults.iter().chain(&refused) {
        eprintln!("skipped: {fault}");
    }
    let summary = Summary {
        loaded: contents.routes.len() - refused.len(),
        ignored: contents.ignored,
        skipped: contents.faults.len() + refused.len(),
        took: began.elapsed(),
    };
    summary.print(session.options().json)
}

/// What is said of routes that cannot apply here.
pub(crate) fn left_out(ignored: usize) -> String {
    format!("{ignored} ignored, as they come with addresses or are not for forwarding")
}

/// Adds routes, refusing what exists unless `replace`. Fails at the first that is refused.
pub(crate) fn add(routes: &[Route], replace: bool, session: &Session) -> Result<(), Failure> {
    let mut client = session.client()?;
    let mut load = Load {
        session,
        client: &mut client,
        replace,
        refused: None,
        lines: &[],
        bar: Bar::new("routes"),
    };
    load.send(routes)
}

/// The interfaces by their names, and by those of the kernel interfaces behind them.
fn interface_names(session: &Session) -> Result<Vec<(String, String)>, Failure> {
    let tables = session.tables()?;
    let interfaces = tables.interfaces.iter();
    Ok(interfaces
        .map(|(_, record)| (from_text(&record.name), from_text(&record.netdev)))
        .collect())
}

struct Load<'a> {
    session: &'a Session,
    client: &'a mut Client,
    replace: bool,
    /// Where refused routes are noted; without it, the first one ends the load.
    refused: Option<Vec<String>>,
    lines: &'a [u32],
    bar: Bar,
}

impl Load<'_> {
    fn send(&mut self, routes: &[Route]) -> Result<(), Failure> {
        let mut done = 0;
        while done < routes.len() {
            let count = batch(&routes[done..], self.replace);
            let outcome = self.send_batch(routes, done, count);
            if let Err(Failure::Refused(mut error)) = outcome {
                if count < routes.len() {
                    error.message = format!(
                        "{} (the first {done} of {} routes were added)",
                        error.message,
                        routes.len()
                    );
                }
                return Err(error.into());
            }
            outcome?;
            done += count;
            self.bar.show(done as u64, routes.len() as u64);
        }
        Ok(())
    }

    /// Sends some of the routes; where one of them is refused and may be, both halves apart.
    fn send_batch(&mut self, routes: &[Route], first: usize, count: usize) -> Result<(), Failure> {
        let request = Request::RouteAdd {
            routes: routes[first..first + count].to_vec(),
            replace: self.replace,
        };
        match self.session.call(self.client, request) {
            Ok(Reply::Done) => Ok(()),
            Ok(other) => Err(unexpected(&other)),
            Err(Failure::Refused(error)) if self.refused.is_some() && is_of_a_route(error.code) => {
                if count > 1 {
                    self.send_batch(routes, first, count / 2)?;
                    return self.send_batch(routes, first + count / 2, count - count / 2);
                }
                let line = self.lines.get(first).copied().unwrap_or_default();
                let refused = self.refused.as_mut();
                refused
                    .into_iter()
                    .for_each(|refused| refused.push(format!("line {line}: {}", error.message)));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Whether a refusal is of one route, and the others may be taken.
fn is_of_a_route(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Invalid | ErrorCode::Exists | ErrorCode::UnknownInterface
    )
}

/// How many of the routes one request can hold. When routes replace others, none may be there twice: the later one counts.
fn batch(routes: &[Route], replace: bool) -> usize {
    let mut size = 0;
    let mut seen = HashSet::new();
    let fits = |route: &&Route| {
        size += route.size();
        size <= ROUTES_PER_REQUEST && (!replace || seen.insert((route.prefix, route.metric())))
    };
    routes.iter().take_while(fits).count().max(1)
}

/// What became of a file.
struct Summary {
    loaded: usize,
    ignored: usize,
    skipped: usize,
    took: Duration,
}

impl Summary {
    fn print(&self, json: bool) -> Result<(), Failure> {
        let Self {
            loaded,
            ignored,
            skipped,
            took,
        } = self;
        let seconds = took.as_secs_f64();
        let rate = *loaded as f64 / seconds.max(1e-6);
        let text = if json {
            let object = serde_json::json!({
                "loaded": loaded, "ignored": ignored, "skipped": skipped, "seconds": seconds,
            });
            object.to_string()
        } else {
            let left_out = left_out(*ignored);
            format!(
                "{loaded} routes loaded in {seconds:.1} s, {rate:.0} per second; {left_out}; {skipped} skipped"
            )
        };
        writeln!(std::io::stdout(), "{text}").map_err(Failure::from)
    }
}

#[cfg(test)]
mod tests {
    use control::message::RouteTarget;

    use super::*;

    #[test]
    fn a_batch_ends_before_it_is_too_long_or_names_a_route_twice() {
        let route = |third: usize| {
            let prefix = format!("10.{}.{}.0/24", third >> 8, third & 255);
            Route::new(prefix.parse().unwrap(), RouteTarget::Blackhole)
        };
        let mut routes: Vec<Route> = (0..ROUTES_PER_REQUEST + 5).map(route).collect();
        assert_eq!(batch(&routes, true), ROUTES_PER_REQUEST);
        assert_eq!(batch(&routes[7..8], true), 1);
        routes[30] = route(3);
        assert_eq!(batch(&routes, true), 30);
        // Whoever adds is told that it is there twice.
        assert_eq!(batch(&routes, false), ROUTES_PER_REQUEST);
    }
}
