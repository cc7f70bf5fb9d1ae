//! The command line: what is common to all objects. Each object's own words are in its module.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Id, Parser, Subcommand};
use control::arguments::InstanceArguments;

use crate::{
    addr, capture, config, conn, counter, drop, ike, instance, laddr, link, log, memory, monitor, neigh,
    punt, ra, route, sa, server, service, shell, stage, trace, tunnel, worker,
};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl instance
  tollgate-ctl --instance blue link show
  tollgate-ctl -I blue --watch 1 counter
  tollgate-ctl -I blue --json route show
  tollgate-ctl -I blue route add 10.1.0.0/16 via 192.168.10.2
  tollgate-ctl -I blue route add 2001:db8:1::/48 via fe80::2 dev wan
  tollgate-ctl -I blue route get 10.1.2.3
  tollgate-ctl -I blue tunnel add tun0 mode gre local 192.0.2.1 remote 198.51.100.1
  tollgate-ctl -I blue trace start -n 10 -f icmp
  tollgate-ctl -I blue ra rule add rsvp values 1,4-35 family ipv6 handler log
  tollgate-ctl -I blue sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes256gcm16 keys in.key
  tollgate-ctl -I blue ike show --details
  tollgate-ctl -I blue service add tcp 10.0.0.100:80 --scheduler rr
  tollgate-ctl -I blue conn show --service 10.0.0.100:80 --top bytes
  tollgate-ctl -I blue config apply blue.toml --dry-run

'show' is the verb when none is given. Without --instance the only instance that runs is taken.
Exit status: 0 done, 1 failed, 2 wrong usage. With --json errors are {\"error\": {\"code\", \"message\"}} on stderr.";

/// Looks into running instances and changes them
#[derive(Debug, Parser)]
#[command(name = "tollgate-ctl", version = control::VERSION, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,

    #[command(subcommand)]
    pub(crate) object: Object,
}

/// What is the same for all objects.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) instance: InstanceArguments,

    /// JSON instead of tables and sentences
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Show again every so many seconds, with rates of counters
    #[arg(long, global = true, value_name = "SECONDS", value_parser = interval)]
    pub(crate) watch: Option<Duration>,

    /// Say on stderr what is read (-v) and asked (-vv)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What the tool knows of.
#[derive(Debug, Subcommand)]
pub(crate) enum Object {
    /// Instances, alive or dead
    Instance(instance::Arguments),
    /// Interfaces: device, state, packets
    Link(link::Arguments),
    /// Tunnels: interfaces whose packets go to another router inside packets of their own
    Tunnel(tunnel::Arguments),
    /// Addresses of the gateway
    Addr(addr::Arguments),
    /// Routes of IPv4 and IPv6
    Route(route::Arguments),
    /// Neighbours: who has which MAC address
    Neigh(neigh::Arguments),
    /// Workers: how busy they are
    Worker(worker::Arguments),
    /// Stages: how many packets they had, and where these went next
    Stage(stage::Arguments),
    /// Counters of interfaces
    Counter(counter::Arguments),
    /// Dropped packets by interface and reason
    Drop(drop::Arguments),
    /// Tools that see packets
    Capture(capture::Arguments),
    /// Packets that tools decide about
    Punt(punt::Arguments),
    /// Router alerts: rules, who listens, and what became of packets
    Ra(ra::Arguments),
    /// Security associations of ESP: what protects which packets
    Sa(sa::Arguments),
    /// IKE SAs of the IKEv2 daemon, its profiles, and what it is to do
    Ike(ike::Arguments),
    /// Services of the load balancer, with their servers
    Service(service::Arguments),
    /// Real servers of services
    Server(server::Arguments),
    /// Local addresses of services: the gateway's, by which servers are reached
    Laddr(laddr::Arguments),
    /// Connections of the load balancer
    Conn(conn::Arguments),
    /// The stages that single packets went through
    Trace(trace::Arguments),
    /// How memory is used
    Memory(memory::Arguments),
    /// Log levels
    Log(log::Arguments),
    /// What runs as a configuration file, and files applied to what runs
    Config(config::Arguments),
    /// Events as they happen, a JSON object per line
    Monitor(monitor::Arguments),
    /// Prints the completion script of a shell
    Completion(shell::CompletionArguments),
    /// Prints the manual page
    Man(shell::ManArguments),
}

/// An object that can only be shown.
#[derive(Debug, Subcommand)]
pub(crate) enum ShowOnly {
    /// Show it
    Show,
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(words)?;
        if let Some((name, object)) = matches.subcommand()
            && let Some(verb) = object.subcommand_name()
            && has_own_words(&command, object)
        {
            let message = format!("arguments stand before the verb: write '{name} {verb}' first, then them");
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
        Self::from_arg_matches(&matches)
    }
}

/// Whether there are arguments of an object's implied `show`, which clap passes over when a verb follows. Its own
/// setting for such conflicts takes the options that are good everywhere for conflicts too.
fn has_own_words(command: &Command, object: &ArgMatches) -> bool {
    let global = |id: &Id| command.get_arguments().any(|argument| argument.get_id() == id);
    let given = |id: &Id| object.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    object.ids().any(|id| given(id) && !global(id))
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give a number of seconds, such as 1 or 0.5".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("give 0.1 to 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn show_is_the_verb_when_none_is_given() {
        for words in [
            "ctl route",
            "ctl route show",
            "ctl --json route --watch 1",
            "ctl route --json show",
            "ctl route show --watch 0.5 10.0.0.0/8",
            "ctl route 10.0.0.0/8",
            "ctl route 2001:db8::/32",
            "ctl route -6",
            "ctl route show default --ipv6",
            "ctl route del -4 default",
            "ctl -I blue link wan",
            "ctl drop --all",
            "ctl tunnel",
            "ctl tunnel tun0",
            "ctl tunnel --json show tun0",
            "ctl tunnel add t mode gre local 192.0.2.1 remote 192.0.2.2 --json",
            "ctl drop show --all wan",
            "ctl instance -v show blue",
            "ctl ra",
            "ctl ra --json show",
            "ctl --watch 1 ra rule",
            "ctl ra rule --json add a values 0,4-35 handler strip pad",
            "ctl ra rule add a values any handler log --json",
            "ctl ra listener show",
            "ctl ra values",
            "ctl sa",
            "ctl --watch 1 sa ipsec0",
            "ctl sa show ipsec0 --json",
            "ctl sa add spi 256 in keys - esn sel src ::1-::2",
            "ctl sa replace --json spi 256",
            "ctl sa del spi 256 dst ::1",
            "ctl sa flush",
            "ctl service",
            "ctl service tcp",
            "ctl service show tcp 10.0.0.100:80 --ipvsadm",
            "ctl --watch 1 service --rate",
            "ctl service set tcp 10.0.0.100:80 --toa off --no-fast-xmit --allow none",
            "ctl worker zero",
            "ctl service zero",
            "ctl service icmp-counters --json",
            "ctl service add icmp 10.0.0.100 --timeout 5 --force",
            "ctl service restore -",
            "ctl server show",
            "ctl server add icmp 10.0.0.100 192.168.100.2 --weight 0",
            "ctl laddr --ipvsadm",
            "ctl laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan",
            "ctl conn --protocol tcp --client 10.0.0.0/8 --service 10.0.0.100 --json",
            "ctl conn show --top bytes --limit 5",
        ] {
            let parsed = Arguments::read(words.split(' ').map(Into::into));
            assert!(parsed.is_ok(), "{words}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn a_word_before_the_verb_is_not_passed_over() {
        for words in [
            "ctl link wan show",
            "ctl link --json wan set wan up",
            "ctl drop --all show",
            "ctl route -6 show",
            "ctl service tcp show",
        ] {
            let refused = Arguments::read(words.split(' ').map(Into::into))
                .unwrap_err()
                .to_string();
            assert!(refused.contains("stand before the verb"), "{words}: {refused}");
        }
    }

    #[test]
    fn intervals_are_seconds_within_reason() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "x", "-1", "0", "NaN", "inf", "1e9"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
