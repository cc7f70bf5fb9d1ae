//! One helper of the configuration file: a program of the operator's that decides about packets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use document::{At, Section};
use nix::unistd::User;
use router_alert::matching::is_name;

/// How long a helper has if nothing is said.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Packets that a helper may have at a time if nothing is said, and at most.
const QUEUE: u16 = 256;
const QUEUE_MAX: u16 = 1024;

/// A helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperConfig {
    /// What rules call it.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// How long it has to answer, if that is said.
    pub timeout: Option<Duration>,
    /// Packets that it may have at a time, at least 1.
    pub queue: u16,
}

/// How a helper is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// It connects to this socket, which the relay listens on.
    Socket(PathBuf),
    /// It is a child of the relay.
    Exec {
        /// The program's path, and its arguments.
        words: Vec<String>,
        /// The user that it runs as, if another than the relay's.
        user: Option<String>,
    },
}

impl Transport {
    /// The path of its socket, if it has one.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Socket(path) => Some(path),
            Self::Exec { .. } => None,
        }
    }
}

impl HelperConfig {
    /// How long it has to answer where the primary waits for `deadline`: what the file says, else half a second; half of the deadline where
    /// that is too long.
    pub fn timeout(&self, deadline: Duration) -> Duration {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        if timeout < deadline { timeout } else { deadline / 2 }
    }
}

/// Reads a helper. `None` only when something was noted as wrong.
pub(super) fn read(section: Section<'_>) -> Option<HelperConfig> {
    let name = section.string("name");
    section.missing("name", "\"policy\"");
    let socket = section.string("socket");
    let exec = section.strings("exec");
    let user = section.string("user");
    let timeout = section.integer("timeout_ms", 1..=10_000u16);
    let queue = section.integer("queue", 1..=QUEUE_MAX);
    let transport = transport(&section, socket, exec, user);
    let document = section.document;
    section.finish();
    let At { place, value: name } = name?;
    if !is_name(name) {
        let sentence =
            format!("'{name}' cannot name a helper: use 1 to 31 letters, digits, '_', '.' and '-'");
        document.report(place, sentence);
        return None;
    }
    Some(HelperConfig {
        name: name.to_owned(),
        transport: transport?,
        timeout: timeout.map(|at| Duration::from_millis(at.value.into())),
        queue: queue.map_or(QUEUE, |at| at.value),
    })
}

fn transport(
    section: &Section<'_>,
    socket: Option<At<&str>>,
    exec: Option<Vec<At<&str>>>,
    user: Option<At<&str>>,
) -> Option<Transport> {
    let report = |place, sentence: String| section.document.report(place, sentence);
    match (socket, exec) {
        (Some(socket), None) => {
            if let Some(user) = user {
                let sentence = "user is for exec: whoever may write to a socket connects to it".to_owned();
                report(user.place, sentence);
            }
            absolute(section, &socket).map(|path| Transport::Socket(path.to_owned()))
        }
        (None, Some(words)) => {
            let Some(program) = words.first() else {
                let sentence = "exec is empty: write exec = [\"/usr/local/bin/policy\"]".to_owned();
                report(section.place, sentence);
                return None;
            };
            let path = absolute(section, program)?;
            if !path.is_file() {
                let sentence = format!("there is no program {}: write where it is", path.display());
                report(program.place, sentence);
                return None;
            }
            if let Some(user) = &user
                && !User::from_name(user.value).is_ok_and(|found| found.is_some())
            {
                report(user.place, format!("this host has no user '{}'", user.value));
                return None;
            }
            Some(Transport::Exec {
                words: words.iter().map(|word| word.value.to_owned()).collect(),
                user: user.map(|user| user.value.to_owned()),
            })
        }
        (Some(_), Some(_)) => {
            let sentence = "a helper has either socket or exec: remove one of them".to_owned();
            report(section.place, sentence);
            None
        }
        (None, None) => {
            let sentence =
                "[[helper]] has neither socket nor exec: write exec = [\"/usr/local/bin/policy\"], or \
                            socket = \"/run/tollgate/policy.sock\""
                    .to_owned();
            report(section.place, sentence);
            None
        }
    }
}

/// A path from the root on: what it would be relative to is the service manager's choice.
fn absolute<'a>(section: &Section<'_>, text: &At<&'a str>) -> Option<&'a Path> {
    let path = Path::new(text.value);
    if path.is_absolute() {
        return Some(path);
    }
    let sentence = format!("'{}' is no whole path: begin it with /", text.value);
    section.document.report(text.place, sentence);
    None
}
