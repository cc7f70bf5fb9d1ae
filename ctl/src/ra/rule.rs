//! `ra rule`: the rules for router alerts shown, made and deleted.

use clap::{Args, Subcommand};
use control::alerts::{self, ListedRule};
use control::message::{FailMode, Request};
use ipnet::IpNet;
use packet::Protocol;
use router_alert::Family;
use serde::Serialize;
use shm::{AlertCounter, CounterView};

use super::words::{self, FORM};
use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl ra rule
  tollgate-ctl ra rule add rsvp values 1,4-35 family ipv6 handler log
  tollgate-ctl ra rule add rsvp4 values 0 family ipv4 proto rsvp dev lan handler relay
  tollgate-ctl ra rule add stripped values any from 2001:db8::/32 prio 10 handler strip remove
  tollgate-ctl ra rule add demo values 65503 fail closed rate 100 burst 20 handler helper policy
  tollgate-ctl ra rule add no-more values 69 see-expired handler drop prohibited
  tollgate-ctl ra rule del rsvp

The first rule that fits a packet counts: those with the highest PRIO are asked first, and of these the ones that were made
first. BY says who made a rule: those of a tool are replaced when it says so or another one attaches, those of an operator stay
until they are deleted; all stay while the primary runs. FAIL is what becomes of packets without a tool: open, they go on,
closed, they are dropped; '-' is what [[punt]] says of router_alert.

Handlers: relay, log, strip remove, strip pad, dscp N (0 to 63), drop, drop prohibited (the sender is told), mirror IFACE (a
copy leaves by IFACE), hold MS (1 to 10000), helper NAME (what the relay's file defines by that name). The tool that decides
does them.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the rules in the order in which they are asked
    Show,
    /// Make a rule
    Add(AddArguments),
    /// Delete a rule
    Del(DeleteArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    /// NAME values V [family ipv4|ipv6] [proto PROTO] [dev IFACE] [from PREFIX] [to PREFIX] [prio N] [fail open|closed]
    /// [see-expired] [rate PPS [burst N]] handler HANDLER; values as in 0,4-35 or any; without 'burst' it is a quarter of the rate
    #[arg(required = true, value_name = "RULE", num_args = 1..)]
    rule: Vec<String>,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// Its name
    name: String,
}

/// A rule.
#[derive(Debug, Serialize)]
struct Rule {
    id: u16,
    name: String,
    priority: u32,
    family: Option<Family>,
    values: String,
    protocol: Option<u8>,
    interface: Option<String>,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    fail: Option<FailMode>,
    see_expired: bool,
    /// None where it has no policer.
    rate: Option<u32>,
    /// As `rate`.
    burst: Option<u32>,
    handler: String,
    origin: &'static str,
    matched: u64,
    punted: u64,
}

pub(super) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Show) | None => show(session),
        Some(Verb::Add(added)) => {
            let rule = words::rule(&added.rule)
                .map_err(|message| Failure::Usage(format!("{message}: write {FORM}")))?;
            session.change(Request::AlertRuleAdd(Box::new(rule)))
        }
        Some(Verb::Del(deleted)) => session.change(Request::AlertRuleDelete { name: deleted.name }),
    }
}

fn show(session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let rules = alerts::listed(&tables.reader);
        let rules = rules.into_iter().map(|listed| Rule::new(listed, &counters));
        Ok(tables.reading(rules.collect()))
    })
}

impl Rule {
    fn new(listed: ListedRule, counters: &CounterView<'_>) -> Self {
        let ListedRule { id, rule, origin } = listed;
        Self {
            id,
            name: rule.rule.name,
            priority: rule.rule.priority,
            family: rule.rule.family,
            values: rule.rule.values.to_string(),
            protocol: rule.rule.protocol,
            interface: rule.rule.interface,
            source: rule.rule.source,
            destination: rule.rule.destination,
            fail: rule.fail,
            see_expired: rule.see_expired,
            rate: rule.rate.map(|policer| policer.rate),
            burst: rule.rate.map(|policer| policer.burst),
            handler: rule.handler.to_string(),
            origin: origin.name(),
            matched: counters.alert(id, AlertCounter::Matched),
            punted: counters.alert(id, AlertCounter::Punted),
        }
    }

    /// What the table says beside the columns.
    fn remarks(&self) -> String {
        let rate = self.rate.zip(self.burst);
        let policer = rate.map(|(rate, burst)| format!("rate {rate} burst {burst}"));
        let expired = self.see_expired.then(|| "see-expired".to_owned());
        let remarks: Vec<String> = [policer, expired].into_iter().flatten().collect();
        remarks.join(", ")
    }
}

impl Show for Rule {
    const COLUMNS: &'static [Column] = &[
        right("PRIO"),
        left("NAME"),
        left("FAMILY"),
        left("VALUES"),
        left("PROTO"),
        left("DEV"),
        left("FROM"),
        left("TO"),
        left("FAIL"),
        left("HANDLER"),
        left("BY"),
        left("REMARKS"),
        right("MATCHED"),
    ];
    const RATE_COLUMNS: &'static [Column] = &[right("MATCHED/S"), right("PUNTED/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        table
            .cell(self.priority)
            .cell(&self.name)
            .optional(self.family)
            .cell(&self.values)
            .optional(self.protocol.map(Protocol))
            .optional(self.interface.as_ref())
            .optional(self.source)
            .optional(self.destination)
            .optional(self.fail.map(FailMode::name))
            .cell(&self.handler)
            .cell(self.origin)
            .cell(self.remarks())
            .cell(self.matched);
        if let Some(rates) = rates {
            for name in ["matched", "punted"] {
                table.optional(rates.of(name));
            }
        }
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn counts(&self) -> Vec<Count> {
        vec![
            Count::new("matched", self.matched),
            Count::new("punted", self.punted),
        ]
    }
}
