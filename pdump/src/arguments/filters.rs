//! What packets have to be, besides what `--filter` says.

use clap::Args;

use crate::filter::Keys;

/// A second way to say it.
#[derive(Debug, Args)]
pub struct Filters {
    /// Capture what fits all of these keys, and the filter if there is one: host, src-host, dst-host (an address or
    /// ADDRESS/LENGTH), proto (tcp, udp, icmp, icmp6), proto-port, src-port, dst-port
    #[arg(long = "match", value_name = "KEY=VALUE,...")]
    pub keys: Option<Keys>,
}
