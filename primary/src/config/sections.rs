//! The sections of the process: each parsed by itself, its keys, types and ranges. Those of the network are in
//! [`super::network`].

use std::path::PathBuf;

use control::message::{FailMode, PuntClass};
use nix::unistd;
use shm::records::IdlePolicy;

use super::machine::{Machine, format_list};
use super::{EalConfig, Group, Limits, Overrides, SpreadPolicy, Workers, eal_args};
use crate::attachments::ClassPolicy;
use crate::log::{Levels, LogConfig, LogTarget};
use document::Place;
use document::{At, Document, Section};

/// `[eal]`, and where memory_mb is written.
pub(super) fn eal(section: Section<'_>, overrides: &Overrides) -> (EalConfig, Option<Place>) {
    let memory = section.integer("memory_mb", 1..=1_048_576);
    let stock_tools = section.boolean("stock_tools").is_some_and(|at| at.value);
    let huge_dir = absolute_path(&section, "huge_dir");
    let mut args = Vec::new();
    for argument in section.strings("args").unwrap_or_default() {
        if let Some(refusal) = eal_args::refusal(argument.value) {
            section.document.report(argument.place, refusal);
        }
        args.push(argument.value.to_owned());
    }
    for argument in &overrides.eal_args {
        if let Some(refusal) = eal_args::refusal(argument) {
            section.document.report_command_line(refusal);
        }
        args.push(argument.clone());
    }
    section.finish();
    let place = memory.as_ref().map(|at| at.place);
    let memory_mb = memory.map_or(EalConfig::DEFAULT_MEMORY_MB, |at| at.value);
    (
        EalConfig {
            memory_mb,
            stock_tools,
            huge_dir,
            args,
        },
        place,
    )
}

fn absolute_path(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let text = section.string(key)?;
    if !text.value.starts_with('/') {
        section.document.report(
            text.place,
            format!("{key} = '{}' is not a path that starts with '/'", text.value),
        );
    }
    Some(PathBuf::from(text.value))
}

/// `[log]`, with levels as the command line raises them.
pub(super) fn log(section: Section<'_>, overrides: &Overrides) -> LogConfig {
    let levels = section
        .parsed::<Levels>("level")
        .map(|at| at.value)
        .unwrap_or_default()
        .raised(overrides.verbose);
    let target = section
        .parsed::<LogTarget>("target")
        .map_or(LogTarget::Stderr, |at| at.value);
    section.finish();
    LogConfig { levels, target }
}

/// The group of `[instance]`, which must be one of this machine's.
pub(super) fn group(section: &Section<'_>) -> Option<Group> {
    let name = section.string("group")?;
    match unistd::Group::from_name(name.value) {
        Ok(Some(group)) => Some(Group {
            name: group.name,
            gid: group.gid.as_raw(),
        }),
        Ok(None) => {
            let sentence = format!(
                "there is no group '{0}': 'groupadd --system {0}' makes it",
                name.value
            );
            section.document.report(name.place, sentence);
            None
        }
        Err(errno) => {
            let sentence = format!("the group '{}' cannot be looked up: {}", name.value, errno.desc());
            section.document.report(name.place, sentence);
            None
        }
    }
}

/// `[limits]`; what is not given follows from the rest.
pub(super) fn limits(section: Section<'_>, packet_buffers: impl FnOnce(usize) -> u32) -> Limits {
    let attachments = section
        .integer("attachments", 0..=64)
        .map_or(Limits::DEFAULT_ATTACHMENTS, |at| at.value);
    let attachment_mb = section
        .integer("attachment_mb", 2..=1024)
        .map_or(Limits::DEFAULT_ATTACHMENT_MB, |at| at.value);
    let routes4 = section
        .integer("routes4", 1..=10_000_000)
        .map_or(Limits::DEFAULT_ROUTES4, |at| at.value);
    let limits = Limits {
        routes4,
        routes6: section
            .integer("routes6", 1..=1_000_000)
            .map_or(Limits::DEFAULT_ROUTES6, |at| at.value),
        tbl8_groups4: section
            .integer("tbl8_groups4", 1..=1_048_576)
            .map_or_else(|| Limits::default_tbl8_groups4(routes4), |at| at.value),
        neighbors: section
            .integer("neighbors", 1..=1_000_000)
            .map_or(Limits::DEFAULT_NEIGHBORS, |at| at.value),
        addresses: section
            .integer("addresses", 1..=65_536)
            .map_or(Limits::DEFAULT_ADDRESSES, |at| at.value),
        packet_buffers: section
            .integer("packet_buffers", Limits::MIN_PACKET_BUFFERS..=16_777_216)
            .map_or_else(
                || {
                    packet_buffers(if attachments > 0 {
                        super::megabytes_of_pages(attachment_mb)
                    } else {
                        0
                    })
                },
                |at| at.value,
            ),
        packet_buffer_bytes: section
            .integer("packet_buffer_bytes", 128..=16_384)
            .map_or(Limits::DEFAULT_PACKET_BUFFER_BYTES, |at| at.value),
        attachments,
        attachment_mb,
        sub_interfaces: section
            .integer("sub_interfaces", 0..=Limits::MAX_SUB_INTERFACES)
            .map_or(Limits::DEFAULT_SUB_INTERFACES, |at| at.value),
        groups: section
            .integer("groups", 1..=1_000_000)
            .map_or(Limits::DEFAULT_GROUPS, |at| at.value),
        reassemblies: section
            .integer("reassemblies", 1..=4096)
            .map_or(Limits::DEFAULT_REASSEMBLIES, |at| at.value),
        sas: section
            .integer("sas", 0..=100_000)
            .map_or(Limits::DEFAULT_SAS, |at| at.value),
        connections: section
            .integer("connections", Limits::MIN_CONNECTIONS..=Limits::MAX_CONNECTIONS)
            .map_or(Limits::DEFAULT_CONNECTIONS, |at| at.value),
    };
    section.finish();
    limits
}

/// How long a tool may take to answer where the file does not say it, milliseconds.
const DEADLINE_MS: u32 = 1000;

/// What a class is like that the file does not mention.
fn default_policy(class: PuntClass) -> ClassPolicy {
    let (rate, burst) = match class {
        // A terminal, routing protocols, and now and then a file.
        PuntClass::Kernel => (10_000, 1000),
        // A peer sends two packets to be let in, and there may be thousands of peers after a reboot.
        PuntClass::Ike => (10_000, 2048),
        PuntClass::RouterAlert | PuntClass::Arp | PuntClass::Nd => (1000, 256),
    };
    ClassPolicy {
        fail: FailMode::Open,
        rate,
        burst,
        deadline_ms: DEADLINE_MS,
    }
}

/// `[[punt]]`, by class.
pub(super) fn punts(document: &Document<'_>, sections: Vec<Section<'_>>) -> [ClassPolicy; PuntClass::COUNT] {
    let mut policies = [None; PuntClass::COUNT];
    for section in sections {
        let class = section.string("class").and_then(|text| {
            let class = PuntClass::ALL
                .into_iter()
                .find(|class| class.name() == text.value);
            if class.is_none() {
                let names = PuntClass::ALL.map(PuntClass::name).join(" or ");
                let sentence = format!(
                    "'{}' is no class of packets that are handed to others: use {names}",
                    text.value
                );
                document.report(text.place, sentence);
            }
            class.map(|class| At {
                place: text.place,
                value: class,
            })
        });
        section.missing("class", "\"router_alert\"");
        let defaults = default_policy(class.as_ref().map_or(PuntClass::Ike, |at| at.value));
        let fail = section.string("fail").and_then(|text| match text.value {
            _ if class.as_ref().is_some_and(|at| !at.value.is_for_tools()) => {
                document.report(
                    text.place,
                    "fail says what happens without a tool, and no tool takes this class: remove it",
                );
                None
            }
            "open" => Some(FailMode::Open),
            "closed" => Some(FailMode::Closed),
            other => {
                document.report(
                    text.place,
                    format!("'{other}' is no way to fail: use open or closed"),
                );
                None
            }
        });
        let deadline = section.integer("deadline_ms", 1..=60_000);
        if let (Some(at), Some(class)) = (&deadline, &class)
            && !class.value.is_for_tools()
        {
            let sentence = "deadline_ms is how long a tool may take, and no tool takes this class: remove it";
            document.report(at.place, sentence);
        }
        let policy = ClassPolicy {
            deadline_ms: deadline.map_or(defaults.deadline_ms, |at| at.value),
            fail: fail.unwrap_or(defaults.fail),
            rate: section
                .integer("rate", 1..=10_000_000)
                .map_or(defaults.rate, |at| at.value),
            burst: section
                .integer("burst", 1..=1_000_000)
                .map_or(defaults.burst, |at| at.value),
        };
        section.finish();
        if let Some(At { place, value: class }) = class
            && policies[class as usize].replace(policy).is_some()
        {
            document.report(
                place,
                format!("the class {} is there twice: remove one of them", class.name()),
            );
        }
    }
    PuntClass::ALL.map(|class| policies[class as usize].unwrap_or_else(|| default_policy(class)))
}

/// `[workers]`.
pub(super) fn workers(section: Section<'_>, machine: &Machine) -> Workers {
    let lcores = cpus(&section, "lcores", machine);
    let control = cpus(&section, "control_cpus", machine);
    let idle = section.string("idle").and_then(|text| {
        let policy = [IdlePolicy::Adaptive, IdlePolicy::Busy]
            .into_iter()
            .find(|policy| policy.name() == text.value);
        if policy.is_none() {
            let sentence = format!(
                "idle = '{}' is not known: use \"adaptive\" or \"busy\"",
                text.value
            );
            section.document.report(text.place, sentence);
        }
        policy
    });
    let idle = idle.unwrap_or(IdlePolicy::Adaptive);
    let spread = section.string("spread").map(|text| match text.value {
        "auto" => SpreadPolicy::Auto,
        "off" => SpreadPolicy::Off,
        other => {
            let sentence = format!("spread = '{other}' is not known: use \"auto\" or \"off\"");
            section.document.report(text.place, sentence);
            SpreadPolicy::Auto
        }
    });
    if let (IdlePolicy::Busy, Some(lcores), Some(control)) = (idle, &lcores, &control)
        && let Some(both) = control
            .iter()
            .find(|cpu| lcores.iter().any(|lcore| lcore.value == cpu.value))
    {
        let sentence = format!(
            "CPU {} is in lcores and in control_cpus, and a busy worker leaves no time for control: give them different CPUs",
            both.value
        );
        section.document.report(both.place, sentence);
    }
    section.finish();
    let values = |list: Vec<At<u32>>| list.into_iter().map(|at| at.value).collect::<Vec<_>>();
    let lcores = lcores.map_or_else(|| machine.allowed.iter().rev().take(1).copied().collect(), values);
    let control_cpus = control.map(values).unwrap_or_else(|| {
        // CPU 0 where it can be had; a machine with one CPU shares it.
        let free = machine.allowed.iter().find(|cpu| !lcores.contains(cpu));
        free.or(machine.allowed.first()).copied().into_iter().collect()
    });
    Workers {
        lcores,
        control_cpus,
        idle,
        spread: spread.unwrap_or(SpreadPolicy::Auto),
    }
}

/// A list of CPUs of this machine, each once; `None` when there is none or it is empty.
fn cpus(section: &Section<'_>, key: &'static str, machine: &Machine) -> Option<Vec<At<u32>>> {
    let list = section.integers(key)?;
    let mut cpus: Vec<At<u32>> = Vec::new();
    for item in list {
        let online = u32::try_from(item.value)
            .ok()
            .filter(|cpu| machine.online.contains(cpu));
        match online {
            None => section.document.report(
                item.place,
                format!(
                    "CPU {} in {key} is not online on this machine: use of {}",
                    item.value,
                    format_list(&machine.online)
                ),
            ),
            Some(cpu) if cpus.iter().any(|other| other.value == cpu) => {
                section
                    .document
                    .report(item.place, format!("CPU {cpu} is in {key} twice: remove one"));
            }
            Some(cpu) => cpus.push(At {
                place: item.place,
                value: cpu,
            }),
        }
    }
    (!cpus.is_empty()).then_some(cpus)
}
