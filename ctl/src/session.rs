//! The instance that this run of the tool works with: its tables and its primary.

use std::cell::OnceCell;
use std::fmt;
use std::time::Instant;

use control::client::Client;
use control::instance::InstanceDir;
use control::message::{ControlError, ErrorCode, Reply, Request};
use serde_json::json;
use shm::records::{Interface, from_text};
use shm::{ProcessId, TableReader};

use crate::arguments::Options;
use crate::failure::Failure;
use crate::present::{self, Reading, Show};

/// What the tool calls itself towards a primary.
pub(crate) const TOOL: &str = "tollgate-ctl";

/// One run of the tool.
pub(crate) struct Session {
    options: Options,
    directory: OnceCell<InstanceDir>,
}

/// The tables of a living instance.
pub(crate) struct Tables {
    pub(crate) reader: TableReader,
    /// The interfaces by index, copied out once.
    pub(crate) interfaces: Vec<(u16, Interface)>,
}

impl Session {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            directory: OnceCell::new(),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The instance that is meant.
    pub(crate) fn directory(&self) -> Result<&InstanceDir, Failure> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let directory = self.options.instance.choose()?;
        self.say(|| format!("instance {} at {}", directory.name(), directory.path().display()));
        Ok(self.directory.get_or_init(|| directory))
    }

    /// Opens the tables. Those of a dead primary are refused: they say how things were.
    pub(crate) fn tables(&self) -> Result<Tables, Failure> {
        let tables = Tables::open(self.directory()?)?;
        self.say(|| {
            format!(
                "tables of {} bytes, written by pid {}",
                tables.reader.bytes(),
                tables.writer().pid
            )
        });
        Ok(tables)
    }

    /// Connects to the primary.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(self.directory()?, TOOL)?)
    }

    /// Asks the primary something.
    pub(crate) fn call(&self, client: &mut Client, request: Request) -> Result<Reply, Failure> {
        // A request may hold a thousand routes: nothing is made of it unless somebody wants to see it.
        let asked = (self.options.verbose >= 2).then(|| brief(&request));
        let start = Instant::now();
        let answer = client.call(request);
        if let Some(asked) = asked {
            eprintln!(
                "{asked} was answered in {:.1} ms",
                start.elapsed().as_secs_f64() * 1e3
            );
        }
        Ok(answer?)
    }

    /// Connects and asks for a change, to which `Done` is the only good answer.
    pub(crate) fn change(&self, request: Request) -> Result<(), Failure> {
        self.refuse_watch()?;
        let mut client = self.client()?;
        match self.call(&mut client, request)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Says on stderr what was done and is not as it may be meant.
    pub(crate) fn warn(&self, message: impl fmt::Display) {
        if self.options.json {
            eprintln!("{}", json!({ "warning": { "message": message.to_string() } }));
        } else {
            eprintln!("warning: {message}");
        }
    }

    /// `--watch` is for what can be shown again.
    pub(crate) fn refuse_watch(&self) -> Result<(), Failure> {
        match self.options.watch {
            Some(_) => Err(Failure::Usage(
                "--watch goes with show and get only: leave it out here".into(),
            )),
            None => Ok(()),
        }
    }

    /// Shows what `read` gives, once or every `--watch` seconds.
    pub(crate) fn show<T: Show>(
        &self,
        read: impl FnMut() -> Result<Reading<T>, Failure>,
    ) -> Result<(), Failure> {
        present::show(self.options.json, self.options.watch, read)
    }

    fn say(&self, message: impl FnOnce() -> String) {
        if self.options.verbose >= 1 {
            eprintln!("{}", message());
        }
    }
}

fn brief(value: &impl fmt::Debug) -> String {
    format!("{value:?}").chars().take(100).collect()
}

/// The failure of a primary that answers something else than was asked.
pub(crate) fn unexpected(reply: &Reply) -> Failure {
    Failure::refused(
        ErrorCode::VersionMismatch,
        format!("the primary answered another question: {}", brief(reply)),
    )
}

impl Tables {
    fn open(directory: &InstanceDir) -> Result<Self, ControlError> {
        let reader = control::tables::open(directory)?;
        let interfaces = reader.interfaces();
        let interfaces = interfaces
            .into_iter()
            .filter_map(|(index, record)| Some((u16::try_from(index).ok()?, record)));
        Ok(Self {
            interfaces: interfaces.collect(),
            reader,
        })
    }

    /// The primary that writes them.
    pub(crate) fn writer(&self) -> ProcessId {
        self.reader.writer()
    }

    /// What was read from these tables.
    pub(crate) fn reading<T>(&self, objects: Vec<T>) -> Reading<T> {
        Reading {
            objects,
            writer: Some(self.writer()),
        }
    }

    /// The name of an interface; its index when it went while the tables were read.
    pub(crate) fn interface_name(&self, index: u16) -> String {
        let found = self.interfaces.iter().find(|(candidate, _)| *candidate == index);
        found.map_or_else(|| format!("#{index}"), |(_, record)| from_text(&record.name))
    }

    /// The interface of that name, or all when none is named.
    pub(crate) fn selected(&self, name: Option<&str>) -> Result<Vec<&(u16, Interface)>, Failure> {
        let Some(name) = name else {
            return Ok(self.interfaces.iter().collect());
        };
        let found: Vec<_> = self
            .interfaces
            .iter()
            .filter(|(_, record)| from_text(&record.name) == name)
            .collect();
        if found.is_empty() {
            let names: Vec<_> = self
                .interfaces
                .iter()
                .map(|(_, record)| from_text(&record.name))
                .collect();
            return Err(Failure::refused(
                ErrorCode::UnknownInterface,
                format!(
                    "there is no interface '{name}': this instance has {}",
                    names.join(", ")
                ),
            ));
        }
        Ok(found)
    }
}
