//! `instance show`: who runs, who hangs, and who is dead since when. Works without any primary.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use control::instance::{CpuClaim, Description, DeviceClaim, InstanceDir, InstanceName, RegistryError};
use control::message::ControlError;
use serde::Serialize;
use shm::{DiscoveryReader, InstanceState};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left};

/// A primary that was silent for longer than this hangs: twenty of its heartbeats.
const HUNG_AFTER: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl instance
  tollgate-ctl --json instance show blue

States: starting, ready, stopping, failed (it gave up and ends), hung (no heartbeat for 2 seconds), dead (ended without
cleaning up: 'tollgate-hugepage-setup clean' removes what it left), no_permission, unknown.
DEAD SINCE is the last heartbeat, within 0.1 s. Below the table stand last words, and when a configuration was last applied or
refused.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show all instances, or one
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// Only this instance; the same as --instance
    name: Option<InstanceName>,
}

/// An instance, from its directory and its discovery page.
#[derive(Debug, Serialize)]
struct Instance {
    name: InstanceName,
    state: &'static str,
    pid: Option<u32>,
    /// RFC 3339, UTC.
    started_at: Option<String>,
    /// RFC 3339, UTC.
    dead_since: Option<String>,
    heartbeat_age_ms: Option<u64>,
    file_prefix: Option<String>,
    netns: Option<String>,
    version: Option<String>,
    config: Option<String>,
    tables: Option<String>,
    devices: Vec<DeviceClaim>,
    cpus: Vec<CpuClaim>,
    last_error: Option<String>,
    last_reload: Option<Reload>,
}

/// What came of the last configuration that was applied or refused.
#[derive(Debug, Serialize)]
struct Reload {
    /// RFC 3339, UTC.
    at: String,
    ok: bool,
    outcome: String,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let shown = match &arguments.verb {
        Some(Verb::Show(shown)) => shown,
        None => &arguments.show,
    };
    let options = &session.options().instance;
    let run_dir = options.run_dir();
    session.show(|| match shown.name.as_ref().or(options.instance.as_ref()) {
        Some(name) => {
            let directory = run_dir.instance(name);
            if !directory.exists() {
                return Err(control::client::unknown(&directory).into());
            }
            Ok(vec![Instance::look(&directory).map_err(ControlError::from)?].into())
        }
        None => {
            let directories = run_dir.instances().map_err(ControlError::from)?;
            let look = |directory: &InstanceDir| {
                // One that cannot be looked at does not hide the others.
                let look = Instance::look(directory);
                let instance = look.unwrap_or_else(|error| Instance::unreadable(directory, &error));
                // One that ended while it was looked at is not dead, it is gone.
                directory.exists().then_some(instance)
            };
            Ok(directories.iter().filter_map(look).collect::<Vec<_>>().into())
        }
    })
}

impl Instance {
    fn look(directory: &InstanceDir) -> Result<Self, RegistryError> {
        let alive = directory.is_alive()?;
        let description = directory.description()?;
        let page = DiscoveryReader::read(&directory.segment());
        Ok(Self::judge(
            directory.name(),
            alive,
            description,
            page,
            SystemTime::now(),
        ))
    }

    fn unreadable(directory: &InstanceDir, error: &RegistryError) -> Self {
        let state = match error {
            RegistryError::Permission { .. } => "no_permission",
            _ => "unknown",
        };
        let nothing = Self::judge(directory.name(), false, None, None, SystemTime::now());
        Self {
            state,
            last_error: Some(error.to_string()),
            ..nothing
        }
    }

    fn judge(
        name: &InstanceName,
        alive: bool,
        description: Option<Description>,
        page: Option<DiscoveryReader>,
        now: SystemTime,
    ) -> Self {
        // A clock that was set back makes heartbeats of the future: they are new.
        let age = page
            .as_ref()
            .map(|page| now.duration_since(page.heartbeat).unwrap_or_default());
        let state = if alive {
            living_state(description.as_ref(), page.as_ref(), age)
        } else {
            "dead"
        };
        let rfc3339 = |time: SystemTime| humantime::format_rfc3339_millis(time).to_string();
        let dead_since = page
            .as_ref()
            .filter(|_| !alive)
            .map(|page| rfc3339(page.heartbeat));
        let (pid, version) = match (&page, &description) {
            (Some(page), _) => (Some(page.process.pid), Some(page.version.clone())),
            (None, Some(description)) => (Some(description.pid), Some(description.version.clone())),
            (None, None) => (None, None),
        };
        let mut instance = Self {
            name: name.clone(),
            state,
            pid,
            started_at: page.as_ref().map(|page| rfc3339(page.started_at)),
            dead_since,
            heartbeat_age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            file_prefix: None,
            netns: None,
            version,
            config: None,
            tables: None,
            devices: Vec::new(),
            cpus: Vec::new(),
            last_reload: page
                .as_ref()
                .and_then(|page| page.last_reload.as_ref())
                .map(|reload| Reload {
                    at: rfc3339(reload.at),
                    ok: reload.ok,
                    outcome: reload.outcome.clone(),
                }),
            last_error: page.and_then(|page| page.last_error),
        };
        if let Some(description) = description {
            instance.file_prefix = Some(description.file_prefix);
            instance.netns = description.netns;
            instance.config = Some(description.config.display().to_string());
            instance.tables = Some(description.tables.display().to_string());
            instance.devices = description.devices;
            instance.cpus = description.cpus;
        }
        instance
    }
}

/// The state of an instance whose lock is held.
fn living_state(
    description: Option<&Description>,
    page: Option<&DiscoveryReader>,
    age: Option<Duration>,
) -> &'static str {
    let (Some(page), Some(age)) = (page, age) else {
        return if description.is_some() {
            "unknown"
        } else {
            InstanceState::Starting.name()
        };
    };
    let silent = age > HUNG_AFTER;
    match page.state {
        // Starting takes as long as the kernel needs to clear the huge pages, and beats no heart meanwhile.
        Some(InstanceState::Starting) => InstanceState::Starting.name(),
        // The page is a dead primary's, and the living one has not made its own yet.
        _ if silent && !page.process.is_alive() => InstanceState::Starting.name(),
        _ if silent => "hung",
        Some(state) => state.name(),
        None => "unknown",
    }
}

impl Show for Instance {
    const COLUMNS: &'static [Column] = &[
        left("NAME"),
        left("STATE"),
        left("PID"),
        left("SINCE"),
        left("DEAD SINCE"),
        left("PREFIX"),
        left("NETNS"),
        left("CPUS"),
        left("DEVICES"),
        left("VERSION"),
        left("TABLES"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        let dead_since = match (self.state, &self.dead_since) {
            ("dead", None) => Some("unknown"),
            (_, since) => since.as_deref(),
        };
        let cpus: Vec<_> = self.cpus.iter().map(|claim| claim.cpu.to_string()).collect();
        let devices: Vec<_> = self
            .devices
            .iter()
            .map(|claim| format!("{}={}", claim.interface, claim.device))
            .collect();
        table
            .cell(&self.name)
            .cell(self.state)
            .optional(self.pid)
            .optional(self.started_at.as_ref())
            .optional(dead_since)
            .optional(self.file_prefix.as_ref())
            .optional(self.netns.as_ref())
            .cell(cpus.join(","))
            .cell(devices.join(" "))
            .optional(self.version.as_ref())
            .optional(self.tables.as_ref());
    }

    fn note(&self) -> Option<String> {
        let error = self.last_error.clone();
        let reload = self
            .last_reload
            .as_ref()
            .map(|reload| format!("{}: {}", reload.at, reload.outcome));
        let notes: Vec<String> = [error, reload]
            .into_iter()
            .flatten()
            .map(|note| format!("{}: {note}", self.name))
            .collect();
        (!notes.is_empty()).then(|| notes.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm::ProcessId;
    use std::time::UNIX_EPOCH;

    fn description() -> Description {
        Description {
            name: "blue".parse().unwrap(),
            version: "0.1.0 (DPDK 22.11.11)".into(),
            pid: 4711,
            start_time: 9,
            file_prefix: "tg-blue".into(),
            netns: Some("blue".into()),
            config: "/etc/tollgate/blue.toml".into(),
            huge_dir: "/dev/hugepages".into(),
            tables: "/dev/hugepages/tg-blue.tables".into(),
            segment: "/tollgate-blue-0".into(),
            group: None,
            stock_tools: false,
            devices: vec![DeviceClaim {
                interface: "wan".into(),
                device: "net_af_packet0,iface=wan0".into(),
                key: None,
            }],
            cpus: vec![CpuClaim { cpu: 1, busy: false }],
        }
    }

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn page(state: InstanceState) -> DiscoveryReader {
        DiscoveryReader {
            process: ProcessId {
                pid: 4711,
                start_time: 9,
            },
            version: "0.1.0 (DPDK 22.11.11)".into(),
            layout_hash: 0,
            state: Some(state),
            started_at: at(1_000),
            heartbeat: at(1_700_000_000_123),
            last_error: None,
            last_reload: None,
        }
    }

    fn judge(alive: bool, page: Option<DiscoveryReader>, age_ms: u64) -> Instance {
        let name = "blue".parse().unwrap();
        Instance::judge(
            &name,
            alive,
            Some(description()),
            page,
            at(1_700_000_000_123 + age_ms),
        )
    }

    #[test]
    fn the_json_form_is_stable() {
        let json = serde_json::to_string(&judge(true, Some(page(InstanceState::Ready)), 40)).unwrap();
        assert_eq!(
            json,
            r#"{"name":"blue","state":"ready","pid":4711,"started_at":"1970-01-01T00:00:01.000Z","dead_since":null,"heartbeat_age_ms":40,"file_prefix":"tg-blue","netns":"blue","version":"0.1.0 (DPDK 22.11.11)","config":"/etc/tollgate/blue.toml","tables":"/dev/hugepages/tg-blue.tables","devices":[{"interface":"wan","device":"net_af_packet0,iface=wan0","key":null}],"cpus":[{"cpu":1,"busy":false}],"last_error":null,"last_reload":null}"#
        );
    }

    #[test]
    fn a_dead_one_is_dead_since_its_last_heartbeat() {
        let dead = judge(false, Some(page(InstanceState::Ready)), 60_000);
        assert_eq!(dead.state, "dead");
        assert_eq!(dead.dead_since.as_deref(), Some("2023-11-14T22:13:20.123Z"));
        let without_page = judge(false, None, 0);
        assert_eq!((without_page.state, without_page.dead_since), ("dead", None));
    }

    #[test]
    fn a_silent_one_hangs_unless_it_starts() {
        let mut living = page(InstanceState::Ready);
        living.process = ProcessId::current();
        assert_eq!(judge(true, Some(living.clone()), 2_000).state, "ready");
        assert_eq!(judge(true, Some(living.clone()), 2_001).state, "hung");
        living.state = Some(InstanceState::Starting);
        assert_eq!(judge(true, Some(living), 9_000).state, "starting");
        // The page of a primary that is no more, under a lock that another holds.
        assert_eq!(
            judge(true, Some(page(InstanceState::Ready)), 9_000).state,
            "starting"
        );
        assert_eq!(judge(true, None, 0).state, "unknown");
    }
}
