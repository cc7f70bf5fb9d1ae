//! The command line.

use std::path::PathBuf;

use clap::Parser;
use control::arguments::InstanceArguments;
use control::tool::{self, Command};

const EXAMPLES: &str = "\
Examples:
  tollgate-ra-relay --instance blue --config ra.toml
  tollgate-ra-relay --instance blue --config ra.toml --json
  tollgate-ra-relay --instance blue                     # rules of 'tollgate-ctl ra rule add' alone
  tollgate-ra-relay --instance blue --observe
  tollgate-ra-relay --config ra.toml --check-config
  tollgate-ra-relay --instance blue --check

A configuration that prints what is in the packets with value 65503, and has a program decide about those with 65504:

  [[rule]]
  name    = \"demo\"
  values  = \"65503\"
  handler = \"log\"

  [[rule]]
  name    = \"policy\"
  values  = \"65504\"
  handler = \"helper policy\"
  fail    = \"closed\"

  [[helper]]
  name = \"policy\"
  exec = [\"/usr/local/bin/policy\"]

Handlers: relay (send on), log (print and send on), strip remove and strip pad (send on without the option), dscp N (send on
with another DSCP), drop, drop prohibited (and tell the sender), mirror IFACE (a copy leaves there, the packet goes on), hold MS (send
on later), helper NAME (a program decides; docs/ra-helper-protocol.md). What fits no rule is sent on.
A helper has exec, a program and its arguments, and perhaps user; or socket, a path that it connects to. timeout_ms (500) and
queue (256) say how long it may take and how many packets it may have; what is beyond goes the way of the rule's fail.
At most --rate lines are printed in a second. SIGHUP has the file read again, all of it or nothing. SIGTERM and Ctrl-C end in
an orderly way, with a report.
Exit status: 0 done, 1 failed or the primary ended, 2 wrong usage or a wrong configuration.
With --json errors are {\"error\": {\"code\", \"message\"}} on stderr.";

/// Relay for packets with the router alert option
#[derive(Debug, Parser)]
#[command(name = crate::TOOL, version = control::VERSION, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// Which instance.
    #[command(flatten)]
    pub instance: InstanceArguments,

    /// Rules and helpers, in TOML
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Decide nothing: print copies of what others decide about
    #[arg(long, conflicts_with = "config")]
    pub observe: bool,

    /// Lines about packets in a second, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub rate: u32,

    /// A JSON object per packet and for the report at the end
    #[arg(long)]
    pub json: bool,

    /// Say neither what is relayed nor how many packets there were
    #[arg(short, long)]
    pub quiet: bool,

    /// Look for packets all the time instead of sleeping until some come: for a CPU of its own
    #[arg(long)]
    pub busy: bool,

    /// Say whether the configuration is right, and exit: 0 yes, 2 no
    #[arg(long)]
    pub check_config: bool,

    /// Connect to the instance, say whether this tool could attach, and exit: 0 yes, 1 no
    #[arg(long)]
    pub check: bool,

    /// Something else than relaying.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl tool::Arguments for Arguments {
    const TOOL: &'static str = crate::TOOL;

    fn instance(&self) -> &InstanceArguments {
        &self.instance
    }

    fn check(&self) -> bool {
        self.check
    }

    fn json(&self) -> bool {
        self.json
    }

    fn command(&self) -> Option<Command> {
        self.command
    }
}
