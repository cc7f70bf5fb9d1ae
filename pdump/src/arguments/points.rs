//! Where a capture looks, and how much it takes of what matches there.

use std::ffi::OsStr;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use control::capture::DropReason;
use control::message::{Budget, CapturePoint, CaptureRequest, PuntClass, Sample, SampleBy};

/// Where, and how much.
#[derive(Debug, Args)]
pub struct Points {
    /// Which way the packets go, seen from the gateway: as one --point rx or tx, or both
    #[arg(
        long,
        value_enum,
        default_value = "both",
        hide_possible_values = true,
        value_name = "rx|tx|both"
    )]
    pub direction: DirectionWord,

    /// Capture at this point; may be given several times [default: rx and tx]
    #[arg(
        long = "point",
        value_parser = PointParser,
        hide_possible_values = true,
        conflicts_with = "direction",
        value_name = "rx|tx|drop[:REASON,...]|punt[:CLASS]|reinject[:CLASS]|pre-encrypt|post-decrypt"
    )]
    pub points: Vec<PointWord>,

    /// Only what comes or goes by this queue of its port; '*' for all
    #[arg(long, value_parser = queue, default_value = "*", hide_default_value = true, value_name = "N|*")]
    pub queue: QueueWord,

    /// ICMP errors, too, that quote a packet which the filter matches
    #[arg(long)]
    pub related: bool,

    /// Take at most so many packets per second, spread over those that match
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pps: Option<u64>,

    /// Take at most so many megabits per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_mbps: Option<u64>,

    /// Take one of N packets, or all packets of one of N flows
    #[arg(long, value_parser = sample, value_name = "1/N[,flow]")]
    pub sample: Option<Sample>,

    /// Kilobytes for packets on their way to this tool, of 1,024 bytes [default: as attachment_mb in [limits]]
    #[arg(long, value_name = "KB", value_parser = clap::value_parser!(u32).range(1..))]
    pub ring_size: Option<u32>,
}

impl Points {
    /// The points, each once, in their order.
    pub fn points(&self) -> Vec<CapturePoint> {
        let is_meant = |point: &CapturePoint| match (&self.points[..], self.direction, point) {
            ([], DirectionWord::Rx, point) => *point == CapturePoint::Rx,
            ([], DirectionWord::Tx, point) => *point == CapturePoint::Tx,
            ([], DirectionWord::Both, point) => matches!(point, CapturePoint::Rx | CapturePoint::Tx),
            (points, _, point) => points.iter().any(|word| word.point == *point),
        };
        CapturePoint::ALL.into_iter().filter(is_meant).collect()
    }

    /// What these ask of the primary; of the rest nothing.
    pub fn request(&self) -> CaptureRequest {
        CaptureRequest {
            points: self.points(),
            queue: self.queue.0,
            drop_reasons: self.drop_reasons(),
            punt_classes: self.punt_classes(),
            related: self.related,
            ring_kb: self.ring_size,
            budget: Budget {
                max_pps: self.max_pps,
                max_mbps: self.max_mbps,
                sample: self.sample,
            },
            ..CaptureRequest::default()
        }
    }

    /// The reasons that were named, each once; none, which is all, if drops were asked for without any.
    fn drop_reasons(&self) -> Vec<String> {
        let is_drop = |word: &&PointWord| word.point == CapturePoint::Drop;
        let drops: Vec<_> = self.points.iter().filter(is_drop).collect();
        if drops.iter().any(|word| word.reasons.is_empty()) {
            return Vec::new();
        }
        let is_meant = |reason: &&DropReason| drops.iter().any(|word| word.reasons.contains(reason));
        let named = DropReason::ALL.iter().filter(is_meant);
        named.map(|reason| reason.name().to_owned()).collect()
    }

    /// The classes that were named, each once.
    fn punt_classes(&self) -> Vec<PuntClass> {
        let is_meant = |class: &PuntClass| self.points.iter().any(|word| word.class == Some(*class));
        PuntClass::ALL.into_iter().filter(is_meant).collect()
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionWord {
    /// Received ones.
    Rx,
    /// Sent ones.
    Tx,
    /// Both.
    Both,
}

/// A point, and what is meant of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointWord {
    point: CapturePoint,
    /// Of drops; empty: all.
    reasons: Vec<DropReason>,
    /// Of what tools decide about; `None`: all.
    class: Option<PuntClass>,
}

/// A queue; `None` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueWord(Option<u16>);

#[derive(Clone)]
struct PointParser;

impl TypedValueParser for PointParser {
    type Value = PointWord;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<PointWord, clap::Error> {
        let parser = StringValueParser::new().try_map(|word| point(&word));
        parser.parse_ref(command, argument, value)
    }

    /// For completion.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        static WORDS: LazyLock<Vec<String>> = LazyLock::new(words);
        Some(Box::new(
            WORDS.iter().map(|word| PossibleValue::new(word.as_str())),
        ))
    }
}

/// All words for points.
fn words() -> Vec<String> {
    let points = CapturePoint::ALL.into_iter().map(|point| point.name().to_owned());
    let classes = PuntClass::ALL.into_iter().filter(|class| class.is_for_tools());
    let classes = classes.flat_map(|class| ["punt", "reinject"].map(|at| format!("{at}:{}", class.name())));
    let reasons = DropReason::ALL.iter().map(|reason| format!("drop:{reason}"));
    points.chain(classes).chain(reasons).collect()
}

fn point(word: &str) -> Result<PointWord, String> {
    let (name, rest) = match word.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (word, None),
    };
    let points = CapturePoint::ALL.map(CapturePoint::name);
    let point = CapturePoint::ALL.into_iter().find(|point| point.name() == name);
    let point = point.ok_or_else(|| format!("there is no such point: there are {}", points.join(", ")))?;
    let (mut reasons, mut class) = (Vec::new(), None);
    match (point, rest) {
        (_, None) => {}
        (CapturePoint::Drop, Some(names)) => {
            reasons = names.split(',').map(reason).collect::<Result<_, _>>()?;
        }
        (CapturePoint::Punt | CapturePoint::Reinject, Some(name)) => class = Some(class_of(name)?),
        (_, Some(_)) => return Err(format!("{name} has no kinds: give it without ':'")),
    }
    Ok(PointWord {
        point,
        reasons,
        class,
    })
}

fn reason(name: &str) -> Result<DropReason, String> {
    let found = DropReason::ALL.iter().find(|reason| reason.name() == name);
    found.copied().ok_or_else(|| {
        let all: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        format!("nothing is dropped as '{name}': reasons are {}", all.join(", "))
    })
}

fn class_of(name: &str) -> Result<PuntClass, String> {
    let mut classes = PuntClass::ALL.into_iter().filter(|class| class.is_for_tools());
    let all: Vec<_> = classes.clone().map(PuntClass::name).collect();
    let found = classes.find(|class| class.name() == name);
    found.ok_or_else(|| format!("no tool decides about '{name}': classes are {}", all.join(", ")))
}

fn queue(word: &str) -> Result<QueueWord, String> {
    match (word, word.parse()) {
        ("*", _) => Ok(QueueWord(None)),
        (_, Ok(queue)) if queue < u16::MAX => Ok(QueueWord(Some(queue))),
        _ => Err("give the number of a queue, from 0, or '*' for all".to_owned()),
    }
}

fn sample(word: &str) -> Result<Sample, String> {
    let (share, by) = match word.split_once(',') {
        None => (word, SampleBy::Packet),
        Some((share, "packet")) => (share, SampleBy::Packet),
        Some((share, "flow")) => (share, SampleBy::Flow),
        Some((_, other)) => return Err(format!("no sample is by '{other}': give packet or flow")),
    };
    let every = share.strip_prefix("1/").and_then(|every| every.parse().ok());
    let every = every.filter(|every| *every > 0);
    every
        .map(|every| Sample { every, by })
        .ok_or_else(|| "give 1/N for one of N packets, or 1/N,flow for one of N flows".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        points: Points,
    }

    fn parse(words: &str) -> Result<CaptureRequest, clap::Error> {
        Words::try_parse_from(words.split(' ')).map(|words| words.points.request())
    }

    #[test]
    fn points_are_those_that_are_named_each_once() {
        let points = |words: &str| parse(words).unwrap().points;
        assert_eq!(points("pdump --direction tx"), [CapturePoint::Tx]);
        assert_eq!(points("pdump --point punt"), [CapturePoint::Punt]);
        assert_eq!(
            points("pdump --point reinject --point rx --point reinject"),
            [CapturePoint::Rx, CapturePoint::Reinject]
        );
        assert_eq!(
            points("pdump --point post-decrypt --point pre-encrypt"),
            [CapturePoint::PreEncrypt, CapturePoint::PostDecrypt]
        );
        assert!(parse("pdump --point rx --direction tx").is_err());
    }

    #[test]
    fn a_drop_may_be_for_some_reasons() {
        let reasons = |words: &str| parse(words).unwrap().drop_reasons;
        assert_eq!(reasons("pdump --point drop"), [""; 0]);
        assert_eq!(
            reasons("pdump --point drop:no_route,ttl_expired --point drop:ttl_expired"),
            ["ttl_expired", "no_route"]
        );
        assert_eq!(reasons("pdump --point drop:ttl_expired --point drop"), [""; 0]);
        let error = parse("pdump --point drop:ttl").unwrap_err().to_string();
        assert!(
            error.contains("'ttl'") && error.contains("ttl_expired"),
            "{error}"
        );
    }

    #[test]
    fn a_class_counts_for_both_points_of_tools() {
        let request = parse("pdump --point punt:ike --point reinject").unwrap();
        assert_eq!(request.points, [CapturePoint::Punt, CapturePoint::Reinject]);
        assert_eq!(request.punt_classes, [PuntClass::Ike]);
        for words in ["punt:arp", "rx:ike", "punt:", "nowhere", "drop:"] {
            assert!(parse(&format!("pdump --point {words}")).is_err(), "{words}");
        }
    }

    #[test]
    fn a_budget_is_asked_for_as_it_is_written() {
        let request =
            parse("pdump --queue 3 --max-pps 10 --max-mbps 2 --sample 1/8,flow --ring-size 512 --related");
        let request = request.unwrap();
        let sample = Some(Sample {
            every: 8,
            by: SampleBy::Flow,
        });
        assert_eq!(
            request.budget,
            Budget {
                max_pps: Some(10),
                max_mbps: Some(2),
                sample
            }
        );
        assert_eq!((request.queue, request.ring_kb), (Some(3), Some(512)));
        assert!(request.related);
        assert_eq!(parse("pdump --queue *").unwrap(), parse("pdump").unwrap());
        for words in [
            "--queue all",
            "--queue 65535",
            "--sample 2/3",
            "--sample 1/0",
            "--sample 1/2,host",
            "--max-pps 0",
        ] {
            assert!(parse(&format!("pdump {words}")).is_err(), "{words}");
        }
    }
}
