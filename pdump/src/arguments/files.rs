//! Files: how many there are, when they end, whose they are, and what reads them back.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::capture::Limits;
use crate::output::{Compression, Owner, Stop, Switch, Target};

/// Bytes that filesize counts in, as dumpcap does.
const KILOBYTE: u64 = 1000;
/// The most files of a ring, as of dumpcap.
const FILES_MAX: u64 = 100_000;

/// The options about files.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArguments {
    /// Go on in another file when one is so old (seconds), the time of day is a multiple of the interval (seconds), it has so many
    /// kB (1000 bytes) or packets; keep the latest of so many files. May be given several times
    #[arg(short = 'b', long = "ring-buffer", value_parser = ring_word, requires = "write",
          value_name = "duration:S|interval:S|filesize:KB|packets:N|files:N")]
    pub ring: Vec<Criterion>,

    /// End after so many seconds, kB (of a series: of each file), files or packets; may be given several times
    #[arg(short = 'a', long = "autostop", value_parser = stop_word,
          value_name = "duration:S|filesize:KB|files:N|packets:N")]
    pub autostop: Vec<Criterion>,

    /// Compress what is written; names end with .zst or .gz then
    #[arg(
        long,
        value_enum,
        requires = "write",
        hide_possible_values = true,
        value_name = "zstd|gzip"
    )]
    pub compress: Option<Compression>,

    /// Give up root for this user once attached; files are this user's
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER")]
    pub user: Option<String>,

    /// Let this group read the files
    #[arg(long, requires = "write", value_name = "GROUP")]
    pub group: Option<String>,

    /// Read these files instead of an instance, pcapng or pcap, also compressed; merge them by time
    #[arg(short = 'r', long = "read", value_name = "FILE", num_args = 1..,
          conflicts_with_all = ["interfaces", "points", "direction", "ring", "autostop", "snaplen", "user", "follow"])]
    pub read: Vec<PathBuf>,

    /// When the primary ends, wait until it is back and go on, in the same file with a new section
    #[arg(long)]
    pub follow: bool,
}

/// What ends a file or a capture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    /// Time since it began.
    Duration(Duration),
    /// A multiple of the time of day.
    Interval(Duration),
    /// Bytes.
    FileSize(u64),
    /// Files.
    Files(u64),
    /// Packets.
    Packets(u64),
}

impl FileArguments {
    /// Where packets are written that are to go to `path`.
    ///
    /// # Errors
    ///
    /// A sentence: these options do not go together.
    pub fn target(&self, path: PathBuf, owner: Owner) -> Result<Target, String> {
        let is_stdout = path.as_os_str() == "-";
        if is_stdout && io::stdout().is_terminal() {
            return Err("packets are nothing for a terminal: pipe the standard output to a reader, or name a file after -w".to_owned());
        }
        if is_stdout && !self.ring.is_empty() {
            return Err("-b needs names for its files: give one after -w instead of '-'".to_owned());
        }
        if is_stdout && self.group.is_some() {
            return Err("--group is for files: the standard output has been opened by others".to_owned());
        }
        let (mut switch, mut stop) = (Switch::default(), Stop::default());
        for criterion in &self.ring {
            match *criterion {
                Criterion::Duration(duration) => switch.duration = Some(duration),
                Criterion::Interval(interval) => switch.interval = Some(interval),
                Criterion::FileSize(bytes) => switch.length = Some(bytes),
                Criterion::Packets(packets) => switch.packets = Some(packets),
                Criterion::Files(files) => switch.files = usize::try_from(files).ok(),
            }
        }
        for criterion in &self.autostop {
            match *criterion {
                Criterion::FileSize(bytes) => stop.length = Some(bytes),
                Criterion::Files(files) => stop.files = Some(files),
                Criterion::Duration(_) | Criterion::Interval(_) | Criterion::Packets(_) => {}
            }
        }
        let alone = Switch {
            files: None,
            ..switch
        } == Switch::default();
        if !self.ring.is_empty() && alone && stop.length.is_none() {
            return Err(
                "-b files:N says how many files stay, not when the next begins: add -b duration:S, interval:S, filesize:KB or packets:N"
                    .to_owned(),
            );
        }
        if self.ring.is_empty() && stop.files.is_some() {
            return Err("-a files:N needs several files: add -b, such as -b filesize:100000".to_owned());
        }
        Ok(Target {
            path,
            compression: self.compress,
            owner,
            switch: (!self.ring.is_empty()).then_some(switch),
            stop,
        })
    }

    /// What ends the capture besides its files; `count` is what `-c` says.
    pub fn limits(&self, count: Option<std::num::NonZeroU64>) -> Limits {
        let packets = self.autostop.iter().filter_map(|criterion| match criterion {
            Criterion::Packets(packets) => std::num::NonZeroU64::new(*packets),
            _ => None,
        });
        let duration = self.autostop.iter().find_map(|criterion| match criterion {
            Criterion::Duration(duration) => Some(*duration),
            _ => None,
        });
        Limits {
            packets: packets.chain(count).min(),
            duration,
        }
    }
}

fn ring_word(word: &str) -> Result<Criterion, String> {
    criterion(word, "duration:S, interval:S, filesize:KB, packets:N or files:N")
}

fn stop_word(word: &str) -> Result<Criterion, String> {
    let all = "duration:S, filesize:KB, files:N or packets:N";
    match criterion(word, all)? {
        Criterion::Interval(_) => Err(format!("write {all}")),
        criterion => Ok(criterion),
    }
}

fn criterion(word: &str, all: &str) -> Result<Criterion, String> {
    let (key, value) = word.split_once(':').ok_or_else(|| format!("write {all}"))?;
    let number = |unit: &str, most: u64| {
        let number = value.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| format!("{key} takes a number of {unit}, 1 to {most}"))
    };
    let seconds = || {
        let seconds = value
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let seconds = seconds.filter(|seconds| *seconds >= Duration::from_millis(1));
        seconds.ok_or_else(|| format!("{key} takes seconds, such as 60 or 0.5"))
    };
    match key {
        "duration" => seconds().map(Criterion::Duration),
        "interval" => number("seconds", u64::from(u32::MAX))
            .map(|number| Criterion::Interval(Duration::from_secs(number))),
        "filesize" => number("kB", u64::MAX / KILOBYTE).map(|number| Criterion::FileSize(number * KILOBYTE)),
        "files" => number("files", FILES_MAX - 1).map(Criterion::Files),
        "packets" => number("packets", u64::MAX).map(Criterion::Packets),
        _ => Err(format!("write {all}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        files: FileArguments,
        #[arg(short, long)]
        write: Option<PathBuf>,
        #[arg(short)]
        interfaces: bool,
        #[arg(long)]
        points: bool,
        #[arg(long)]
        direction: bool,
        #[arg(long)]
        snaplen: bool,
    }

    fn parse(words: &str) -> Result<FileArguments, clap::Error> {
        Line::try_parse_from(words.split(' ')).map(|line| {
            let _ = (
                line.write,
                line.interfaces,
                line.points,
                line.direction,
                line.snaplen,
            );
            line.files
        })
    }

    fn target(words: &str) -> Result<Target, String> {
        let arguments = parse(words).map_err(|error| error.to_string())?;
        arguments.target("out.pcapng".into(), Owner::default())
    }

    #[test]
    fn words_mean_what_they_mean_to_dumpcap() {
        let found = target(
            "pdump -w f -b duration:0.5 -b filesize:2 -b files:3 -b packets:9 -b interval:60 -a files:7",
        );
        let switch = Switch {
            duration: Some(Duration::from_millis(500)),
            interval: Some(Duration::from_secs(60)),
            length: Some(2000),
            packets: Some(9),
            files: Some(3),
        };
        let found = found.unwrap();
        assert_eq!(
            (found.switch, found.stop),
            (
                Some(switch),
                Stop {
                    length: None,
                    files: Some(7)
                }
            )
        );
        let limits = parse("pdump -a duration:2 -a packets:5 -a filesize:1")
            .unwrap()
            .limits(4.try_into().ok());
        assert_eq!(
            (limits.packets.map(u64::from), limits.duration),
            (Some(4), Some(Duration::from_secs(2)))
        );
        assert_eq!(
            target("pdump -w f -a filesize:1").unwrap().stop.length,
            Some(1000)
        );
        assert_eq!(parse("pdump -w f -r a b c").unwrap().read.len(), 3);
    }

    #[test]
    fn what_does_not_go_together_is_a_sentence() {
        for (words, part) in [
            ("pdump -w f -b files:3", "when the next begins"),
            ("pdump -w f -a files:3", "add -b"),
            ("pdump -b files:3", "--write"),
            ("pdump -w f -b filesize:0", "1 to"),
            ("pdump -w f -b duration:-1", "takes seconds"),
            ("pdump -a interval:5", "write duration:S"),
            ("pdump -a size:5", "write duration:S"),
            ("pdump -w f -b 5", "write duration:S"),
            ("pdump -w f -b files:100000", "1 to 99999"),
            ("pdump -r f --follow", "cannot be used with"),
        ] {
            let error = target(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
        let arguments = parse("pdump -w - -b filesize:3").unwrap();
        assert!(arguments.target("-".into(), Owner::default()).is_err());
    }
}
