//! `service restore`: the services of a file, all of them or none.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{fs, str};

use clap::Args;
use control::client::Client;
use control::message::{
    ControlError, ErrorCode, LocalAddress, Reply, Request, SERVERS_PER_SERVICE, Service, ServiceId,
};

use super::read;
use super::rules::Rule;
use super::words::{Which, service_words};
use crate::failure::Failure;
use crate::laddr;
use crate::session::{Session, unexpected};

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// What 'service save' or 'ipvsadm -S -n' wrote; '-' is stdin
    file: PathBuf,
}

/// A service of a file, and where that says so.
#[derive(Debug)]
struct Written {
    service: Service,
    line: usize,
    /// The lines of its local addresses. One that names no interface is in the service with an empty name.
    local_lines: Vec<usize>,
}

pub(super) fn run(arguments: &RestoreArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let (name, text) = open(&arguments.file)?;
    let wrong = |sentence| Failure::refused(ErrorCode::Invalid, sentence);
    let mut services = written(&name, &text).map_err(wrong)?;
    find_interfaces(&name, &mut services, session)?;
    let mut client = session.client()?;
    // What is there already would be refused in the midst of it.
    let there = read::services(session, &mut client, &Which::default())?;
    let there: HashSet<_> = there.iter().map(|there| there.id).collect();
    let exists = |written: &&Written| there.contains(&written.service.id);
    if let Some(Written { service, line, .. }) = services.iter().find(exists) {
        let sentence = format!(
            "{name}:{line}: there is a service {} already, and nothing was added: delete it, or take it out of the file",
            service_words(&service.id)
        );
        return Err(Failure::refused(ErrorCode::Exists, sentence));
    }
    let mut adding = Adding {
        session,
        client,
        added: Vec::with_capacity(services.len()),
    };
    for part in parts(&services) {
        if let Err((line, refused)) = adding.add(part) {
            return Err(adding.undo(&name, line, refused));
        }
    }
    let count = services.len();
    let mut out = io::stdout().lock();
    if session.options().json {
        writeln!(out, "{}", serde_json::json!({ "services": count }))?;
    } else {
        let services = if count == 1 { "service" } else { "services" };
        writeln!(out, "{count} {services} restored")?;
    }
    Ok(())
}

/// Services in parts that fit a request each.
fn parts(mut services: &[Written]) -> impl Iterator<Item = &[Written]> {
    std::iter::from_fn(move || {
        let mut left = Service::REQUEST_BYTES;
        let fits = |written: &&Written| {
            let bytes = written.service.request_bytes();
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        // A service fits in any case.
        let count = services.iter().take_while(fits).count().max(1);
        let (part, others) = services.split_at_checked(count)?;
        services = others;
        Some(part)
    })
}

/// Services on their way to the primary.
struct Adding<'a> {
    session: &'a Session,
    client: Client,
    added: Vec<ServiceId>,
}

impl Adding<'_> {
    /// Adds services. Fails with the line of the first that was refused; those before it may have been added.
    fn add(&mut self, services: &[Written]) -> Result<(), (usize, Failure)> {
        let request = Request::ServiceAdd(services.iter().map(|written| written.service.clone()).collect());
        let refused = match self.session.call(&mut self.client, request) {
            Ok(Reply::Done) => {
                self.added
                    .extend(services.iter().map(|written| written.service.id));
                return Ok(());
            }
            Ok(other) => unexpected(&other),
            Err(failure) => failure,
        };
        // The primary adds all or none: which it does not want is in one half or the other.
        match (services.split_at(services.len() / 2), &refused) {
            ((first @ [_, ..], others), Failure::Refused(_)) => {
                self.add(first)?;
                self.add(others)
            }
            _ => Err((services.first().map_or(0, |written| written.line), refused)),
        }
    }

    /// Deletes what was added before a service was refused, and says why it was.
    fn undo(mut self, name: &str, line: usize, refused: Failure) -> Failure {
        let Failure::Refused(ControlError { code, message }) = refused else {
            return refused;
        };
        let request = Request::ServiceDelete(self.added.clone());
        let stay = !self.added.is_empty() && self.session.call(&mut self.client, request).is_err();
        let left = if stay {
            let staying: Vec<_> = self.added.iter().map(service_words).collect();
            format!(
                "these were added and could not be deleted again: {}",
                staying.join(", ")
            )
        } else {
            "nothing was added".to_owned()
        };
        Failure::refused(code, format!("{name}:{line}: {message} ({left})"))
    }
}

fn open(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut text);
        let wrong = |error| Failure::refused(ErrorCode::Failed, format!("cannot read stdin: {error}"));
        return read.map(|_| ("stdin".to_owned(), text)).map_err(wrong);
    }
    let name = path.display().to_string();
    match fs::read(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let code = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                io::ErrorKind::NotFound => ErrorCode::NotFound,
                _ => ErrorCode::Failed,
            };
            Err(Failure::refused(code, format!("cannot read {name}: {error}")))
        }
    }
}

/// The services in the text of a file; local addresses whose interface is not named have an empty name for it.
pub(crate) fn parse(name: &str, text: &[u8]) -> Result<Vec<Service>, String> {
    let services = written(name, text)?;
    Ok(services.into_iter().map(|written| written.service).collect())
}

fn written(name: &str, text: &[u8]) -> Result<Vec<Written>, String> {
    let text = str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("{name}:{line}: this is not UTF-8: write it in UTF-8")
    })?;
    let mut services: Vec<Written> = Vec::new();
    let mut places: HashMap<ServiceId, usize> = HashMap::new();
    for (line, words) in (1..).zip(text.lines()) {
        let rule = Rule::parse(words).and_then(|rule| {
            if let Some(rule) = rule {
                take(rule, line, &mut services, &mut places)?;
            }
            Ok(())
        });
        rule.map_err(|sentence| format!("{name}:{line}: {sentence}"))?;
    }
    Ok(services)
}

fn take(
    rule: Rule,
    line: usize,
    services: &mut Vec<Written>,
    places: &mut HashMap<ServiceId, usize>,
) -> Result<(), String> {
    let id = *rule.id();
    let place = places.get(&id).and_then(|place| services.get_mut(*place));
    let words = service_words(&id);
    match (rule, place) {
        (Rule::Service(..), Some(before)) => Err(format!(
            "line {} adds a service {words} already: remove one",
            before.line
        )),
        (Rule::Service(_, options), None) => {
            options.check(&id)?;
            places.insert(id, services.len());
            services.push(Written {
                service: Service {
                    id,
                    options,
                    servers: Vec::new(),
                    locals: Vec::new(),
                },
                line,
                local_lines: Vec::new(),
            });
            Ok(())
        }
        (_, None) => Err(format!(
            "no line before this one adds a service {words}: write 'service add {words}' first"
        )),
        (Rule::Server(_, server), Some(Written { service, .. })) => {
            server.check(&id)?;
            room(service.servers.len(), "servers")?;
            if service.servers.iter().any(|other| other.at() == server.at()) {
                return Err(format!(
                    "{words} has the server {} already: remove one",
                    server.at()
                ));
            }
            service.servers.push(server);
            Ok(())
        }
        (
            Rule::Local(_, address, interface),
            Some(Written {
                service, local_lines, ..
            }),
        ) => {
            let interface = interface.unwrap_or_default();
            let local = LocalAddress { address, interface };
            local.check(&id)?;
            room(service.locals.len(), "local addresses")?;
            if service.locals.iter().any(|other| other.address == address) {
                return Err(format!(
                    "{words} has the local address {address} already: remove one"
                ));
            }
            service.locals.push(local);
            local_lines.push(line);
            Ok(())
        }
    }
}

fn room(count: usize, what: &str) -> Result<(), String> {
    if count < SERVERS_PER_SERVICE {
        return Ok(());
    }
    Err(format!(
        "a service has {SERVERS_PER_SERVICE} {what} at most: remove some"
    ))
}

/// Says of local addresses that name no interface which it is.
fn find_interfaces(name: &str, services: &mut [Written], session: &Session) -> Result<(), Failure> {
    let mut tables = None;
    for Written {
        service, local_lines, ..
    } in services
    {
        let lines = local_lines.iter();
        for (local, line) in service.locals.iter_mut().zip(lines) {
            if !local.interface.is_empty() {
                continue;
            }
            let tables = match &mut tables {
                Some(tables) => tables,
                none => none.insert(session.tables()?),
            };
            local.interface = laddr::interface_of(tables, local.address).map_err(|sentence| {
                Failure::refused(ErrorCode::Invalid, format!("{name}:{line}: {sentence}"))
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# two services
service add tcp 10.0.0.100:80 --scheduler wrr
server add tcp 10.0.0.100:80 192.168.100.2 --weight 3

-A -u 10.0.0.100:53 -s rr
-a -u 10.0.0.100:53 -r 192.168.100.3:5353 -b -w 1
-a -t 10.0.0.100:80 -r 192.168.100.3:8080 -b
laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan
-P -z 192.168.100.200 -u 10.0.0.100:53
";

    #[test]
    fn lines_of_both_forms_make_services() {
        let services = written("f", FILE.as_bytes()).unwrap();
        let [tcp, udp] = services.as_slice() else {
            panic!("{services:?}")
        };
        let ends = |written: &Written| -> Vec<_> {
            let servers = written.service.servers.iter();
            servers.map(|server| server.at().to_string()).collect()
        };
        assert_eq!(ends(tcp), ["192.168.100.2:80", "192.168.100.3:8080"]);
        assert_eq!(ends(udp), ["192.168.100.3:5353"]);
        assert_eq!((tcp.line, udp.line), (2, 5));
        assert_eq!(tcp.service.locals[0].interface, "lan");
        assert_eq!(
            (
                udp.local_lines.as_slice(),
                udp.service.locals[0].interface.as_str()
            ),
            (&[9][..], "")
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, said) in [
            (
                "service add tcp 10.0.0.100:80",
                "line 2 adds a service tcp 10.0.0.100:80 already",
            ),
            (
                "server add tcp 10.0.0.100:81 192.168.100.2",
                "no line before this one adds a service",
            ),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2 -b",
                "has the server 192.168.100.2:80 already",
            ),
            (
                "laddr add tcp 10.0.0.100:80 192.168.100.200",
                "has the local address 192.168.100.200 already",
            ),
            ("server add tcp 10.0.0.100:80 2001:db8::2", "is not of IPv4"),
            ("service add udp 10.0.0.100:80 --toa", "toa is an option of TCP"),
            ("no such thing", "unrecognized subcommand 'no'"),
        ] {
            let sentence = parse("f", format!("{FILE}{line}\n").as_bytes()).unwrap_err();
            assert!(
                sentence.starts_with("f:10: ") && sentence.contains(said),
                "{line}: {sentence}"
            );
        }
        let sentence = parse("f", b"# one\n\xff\n").unwrap_err();
        assert!(sentence.starts_with("f:2: this is not UTF-8"), "{sentence}");
    }

    #[test]
    fn a_service_has_as_many_servers_as_fit_into_a_request() {
        let servers = |count: usize| -> String {
            let line = |n: usize| format!("server add tcp 10.0.0.100:80 10.1.{}.{}\n", n / 250, n % 250 + 1);
            (0..count).map(line).collect()
        };
        let file = |count| format!("service add tcp 10.0.0.100:80\n{}", servers(count));
        assert!(parse("f", file(SERVERS_PER_SERVICE).as_bytes()).is_ok());
        let sentence = parse("f", file(SERVERS_PER_SERVICE + 1).as_bytes()).unwrap_err();
        assert!(
            sentence.starts_with("f:258: a service has 256 servers at most"),
            "{sentence}"
        );
    }
}
