//! `ra`: rules for router alerts, who listens, and what became of the packets.

mod counts;
mod listener;
mod rule;
mod values;
mod words;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl ra
  tollgate-ctl --watch 1 ra show
  tollgate-ctl ra rule
  tollgate-ctl ra rule add rsvp values 1,4-35 family ipv6 handler log
  tollgate-ctl ra rule del rsvp
  tollgate-ctl ra listener
  tollgate-ctl ra values

A packet with a router alert (RFC 2113, RFC 2711) that fits a rule goes to the tool that decides, which does with it what the
handler of the rule says; one that fits no rule is forwarded as any other. While there are no rules, the tool decides about all.

'ra show' counts, by rule: MATCHED, the packets that it was the first to fit; of these PUNTED, those that a tool was asked about;
bypass_* and closed_*, those that went on or were dropped without it, as the fail mode of the rule says: _dead there was no
tool, _full it was behind, _deadline it had not decided in time, _died it went; limited_*, those that were too many for a
policer; relayed, replaced, dropped, refused, what the tool decided. By interface: alerts_seen is alerts_unmatched plus what
is matched or expired by rule, and is counted while there is a rule or a tool. Latency is from the worker that gives a packet to
the tool to the same worker that has it back; percentiles are the ends of quarters of powers of two.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what became of packets, by rule and by interface, and how long tools took
    Show,
    /// Rules: which packets go to the tool, and what it does with them
    Rule(rule::Arguments),
    /// Tools that decide about router alerts, or watch
    Listener(listener::Arguments),
    /// The values that mean something, by family
    Values(values::Arguments),
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Show) | None => counts::show(session),
        Some(Verb::Rule(arguments)) => rule::run(arguments, session),
        Some(Verb::Listener(arguments)) => listener::run(&arguments, session),
        Some(Verb::Values(arguments)) => values::run(&arguments, session),
    }
}
