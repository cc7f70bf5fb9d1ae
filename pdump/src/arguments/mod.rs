//! The command line.

mod files;
mod filters;
mod lines;
mod points;

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use control::arguments::InstanceArguments;
use control::message::{CapturePoint, SNAPLEN_MAX};
use control::tool::{self, Command};

pub use self::files::{Criterion, FileArguments};
pub use self::filters::Filters;
pub use self::lines::LineArguments;
pub use self::points::{DirectionWord, Points};

const EXAMPLES: &str = "\
Examples:
  tollgate-pdump --instance blue -i wan
  tollgate-pdump --instance blue -i wan -f 'udp port 500 or esp' -w ike.pcapng
  tollgate-pdump --instance blue -f icmp -c 10 --json
  tollgate-pdump --instance blue -w - | tcpdump -n -r -
  tollgate-pdump --instance blue --point punt --point reinject -w relayed.pcapng
  tollgate-pdump --instance blue --point drop:ttl_expired,no_route
  tollgate-pdump --instance blue --max-pps 1000 --sample 1/8,flow -w some.pcapng
  tollgate-pdump --instance blue --match src-host=10.0.0.1,proto=tcp,dst-port=80 -e -tttt
  tollgate-pdump --instance blue -w all.pcapng -b filesize:100000 -b files:10 --compress zstd -Z tcpdump
  tollgate-pdump --instance blue -w wan.pcapng -a duration:60 --follow
  tollgate-pdump -r all_*.zst -f 'host 10.0.0.7' -w one.pcapng
  tollgate-pdump -f 'tcp port 80' -d

Filters are those of tcpdump: see pcap-filter(7). They take packets with VLAN tags as well as
without, unless they say 'vlan' or 'ether[...]': 'icmp and not vlan' takes those without alone.
Lines are those of 'tcpdump -n -S', with more in brackets behind them. Times are UTC.
Ctrl-C ends, twice at once.
Points: rx and tx are the ports, and tunnels. punt is where a packet is handed to a tool that decides about it, such as the
router alert relay, and reinject where it comes back: both before its hop limit is counted down; a class counts for both.
drop is where a packet is dropped, as it is then, all of them or those of some reasons ('tollgate-ctl drop show' has the names).
pre-encrypt is what a tunnel is about to seal, post-decrypt what it has opened. In a pcapng file they are interfaces of their
own, such as wan:punt.
Files are as dumpcap's: -b begins another file, -a ends the capture, kB are 1000 bytes, names get a number and the time. They are
whole whenever something was written, also compressed ones.
The end report says how many packets the filter was asked about (seen), which it did not match
(filtered), which were written, and which found no room as this tool was behind (lost). What --max-pps, --max-mbps and
--sample left out is said as well (unsampled), and what came too late to be written, behind the last that was asked for.
Exit status: 0 done, 1 failed or the primary ended, 2 wrong usage or a wrong filter.
With --json errors are {\"error\": {\"code\", \"message\"}} on stderr.";

/// Filtered packet capture on a running instance
#[derive(Debug, Parser)]
#[command(name = crate::TOOL, version = control::VERSION, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// Which instance.
    #[command(flatten)]
    pub instance: InstanceArguments,

    /// Capture on this interface, without the tags that lead to it, or on the port at this PCI address; may be given several
    /// times [default: any]
    #[arg(short, long = "interface", value_name = "IFACE|PCI")]
    pub interfaces: Vec<String>,

    /// Where, and how much.
    #[command(flatten)]
    pub place: Points,

    /// Capture what this filter matches, in libpcap's language
    #[arg(
        short,
        long,
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true
    )]
    pub filter: String,

    /// What else they have to be.
    #[command(flatten)]
    pub filters: Filters,

    /// Write the packets to this file, '-' for the standard output, instead of printing them
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Bytes to keep of each packet, 0 for all of them
    #[arg(short, long, value_name = "BYTES", default_value_t = SNAPLEN_MAX,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(SNAPLEN_MAX)))]
    pub snaplen: u32,

    /// End after so many packets
    #[arg(short, long, value_name = "N")]
    pub count: Option<NonZeroU64>,

    /// Format of the file
    #[arg(
        long,
        value_enum,
        default_value = "pcapng",
        hide_possible_values = true,
        value_name = "pcapng|pcap"
    )]
    pub format: Format,

    /// Files.
    #[command(flatten)]
    pub files: FileArguments,

    /// Say neither what is captured nor how many packets there were
    #[arg(short, long)]
    pub quiet: bool,

    /// How they are printed.
    #[command(flatten)]
    pub lines: LineArguments,

    /// A JSON object per packet and for the report at the end
    #[arg(long)]
    pub json: bool,

    /// Print what the filter was compiled to, as tcpdump does, and exit
    #[arg(short)]
    pub dump: bool,

    /// Connect to the instance, say whether this tool could attach, and exit: 0 yes, 1 no
    #[arg(long)]
    pub check: bool,

    /// Say on stderr what is asked of the primary
    #[arg(long, short, action = ArgAction::Count)]
    pub verbose: u8,

    /// Something else than a capture.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Arguments {
    /// The snapshot length with 0 resolved, 1 to [`SNAPLEN_MAX`] bytes.
    pub fn snapshot_length(&self) -> u32 {
        match self.snaplen {
            0 => SNAPLEN_MAX,
            bytes => bytes,
        }
    }

    /// The points, each once, in their order.
    pub fn points(&self) -> Vec<CapturePoint> {
        self.place.points()
    }

    /// The interfaces, each once, in the order given.
    pub fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &self.interfaces {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// pcapng: interfaces, directions and statistics are kept.
    Pcapng,
    /// pcap with nanoseconds: packets alone.
    Pcap,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{Dump, Style, TimeStyle};
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_has_a_default() {
        let arguments = parse("pdump").unwrap();
        assert_eq!(arguments.interfaces(), Vec::<String>::new());
        assert_eq!(arguments.points(), [CapturePoint::Rx, CapturePoint::Tx]);
        assert_eq!((arguments.filter.as_str(), arguments.count), ("", None));
        assert_eq!(
            (arguments.snapshot_length(), arguments.format),
            (SNAPLEN_MAX, Format::Pcapng)
        );
    }

    #[test]
    fn words_mean_what_they_mean_to_tcpdump() {
        let arguments =
            parse("pdump -i wan -i lan -i wan --direction rx -f icmp -w - -s 96 -c 5 -q --format pcap")
                .unwrap();
        assert_eq!(arguments.interfaces(), ["wan", "lan"]);
        assert_eq!(arguments.points(), [CapturePoint::Rx]);
        assert_eq!(
            (arguments.snapshot_length(), arguments.count.map(u64::from)),
            (96, Some(5))
        );
        assert!(arguments.quiet && arguments.format == Format::Pcap);
        assert_eq!(parse("pdump -s 0").unwrap().snapshot_length(), SNAPLEN_MAX);
    }

    #[test]
    fn lines_are_as_the_letters_of_tcpdump_say() {
        let style = |words: &str| {
            let arguments = parse(words).unwrap();
            arguments.lines.style(arguments.json)
        };
        assert_eq!(style("pdump"), Style::default());
        let dump = |link, characters| Some(Dump { link, characters });
        assert_eq!(style("pdump -x").dump, dump(false, false));
        assert_eq!(style("pdump -xx").dump, dump(true, false));
        assert_eq!(style("pdump -X").dump, dump(false, true));
        assert_eq!(style("pdump -ettttxX -X").dump, dump(true, true));
        let date = style("pdump -ettttxX");
        assert!(date.link && date.time == TimeStyle::Date, "{date:?}");
        assert!(style("pdump --json").json);
        for words in ["pdump -tttttt", "pdump -xxx", "pdump -XXX"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn keys_are_an_expression_or_a_sentence() {
        let keys = |words: &str| parse(words).map(|arguments| arguments.filters.keys.unwrap().to_string());
        assert_eq!(
            keys("pdump --match src-host=10.0.0.1,proto=udp").unwrap(),
            "udp and src host 10.0.0.1"
        );
        let said = keys("pdump --match sport=80").unwrap_err().to_string();
        assert!(
            said.contains("there is no key 'sport': use src-port=PORT"),
            "{said}"
        );
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for words in [
            "pdump --point nowhere",
            "pdump -s 16385",
            "pdump -s -1",
            "pdump -c 0",
            "pdump --direction up",
            "pdump --format erf",
            "pdump icmp",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
