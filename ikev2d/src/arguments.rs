//! The command line.

use std::path::PathBuf;

use clap::Parser;
use control::arguments::InstanceArguments;
use control::tool::{self, Command};

const EXAMPLES: &str = "\
Examples:
  tollgate-ikev2d --instance blue --config ike.toml
  tollgate-ikev2d --instance blue --config ike.toml --json
  tollgate-ikev2d --instance blue --config ike.toml --user tollgate-ike
  tollgate-ikev2d --config ike.toml --check-config
  tollgate-ikev2d --instance blue --check

A configuration that protects what tunnel ipsec0 of the primary carries; pr1.psk is a file of mode 0600 with the key as text, or as
hex digits behind 0x:

  [[profile]]
  name           = \"pr1\"
  local_address  = \"192.0.2.1\"
  remote_address = \"198.51.100.1\"
  psk_file       = \"pr1.psk\"
  start          = \"start\"

  [[profile.child]]
  tunnel    = \"ipsec0\"
  local_ts  = [\"10.1.0.0/16\", \"2001:db8:1::/48\"]
  remote_ts = [\"10.2.0.0/16\", \"2001:db8:2::/48\"]

All keys are in docs/ikev2d.md. SIGHUP has the file read again, all of it or nothing, as 'tollgate-ctl ike reload' does; profiles that
are as they were keep their IKE SAs. SIGTERM and Ctrl-C end the daemon and leave SAs and peers as they are: 'tollgate-ctl ike
terminate' deletes them. When the primary ends the daemon waits for the next one, and has what was established rekeyed there.
Before it reads files the daemon gives up all capabilities but CAP_IPC_LOCK, so that what it reads has to be its own, and before it
attaches it limits itself to the system calls that it needs: it runs no programs and has no sockets to the network. With --user it is
that user, who has to be in the group of the instance.
Exit status: 0 done, 1 failed, 2 wrong usage or a wrong configuration.
With --json errors are {\"error\": {\"code\", \"message\"}} and notices {\"notice\"} on stderr.";

/// IKEv2 daemon that installs IPsec SAs in a running instance
#[derive(Debug, Parser)]
#[command(name = crate::TOOL, version = control::VERSION, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// Which instance.
    #[command(flatten)]
    pub instance: InstanceArguments,

    /// Peers, in TOML
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Become this user before anything is read; without it, stay who it is but without capabilities
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// A JSON object for each notice and error
    #[arg(long)]
    pub json: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Say whether the configuration is right, and exit: 0 yes, 2 no
    #[arg(long)]
    pub check_config: bool,

    /// Connect to the instance, say whether this tool could attach, and exit: 0 yes, 1 no
    #[arg(long)]
    pub check: bool,

    /// Something else than negotiating.
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
