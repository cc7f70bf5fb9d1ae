//! Filters in libpcap's language: compiled here, so that the primary never parses text, and dumped for people.

mod caret;
mod keys;
mod listing;
mod run;
mod tags;

use control::message::{FILTER_INSTRUCTIONS, FilterInstruction};
use pcap::{Capture, Dead, Linktype};

pub use self::keys::{KeyError, Keys};
pub use self::listing::listing;

/// Where Linux keeps what only the kernel knows of a packet: offsets from here on are no bytes of it (SKF_AD_OFF).
const ANCILLARY: u32 = 0xffff_f000;

/// Words that compile to a look at what only the kernel knows, and what to use instead.
const KERNEL_WORDS: [(&str, &str); 3] = [
    ("inbound", "use --direction rx"),
    ("outbound", "use --direction tx"),
    ("ifindex", "use -i with the name of the interface"),
];

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What it was compiled from; empty: every packet.
    pub expression: String,
    /// Classic BPF over the Ethernet frame, at most [`FILTER_INSTRUCTIONS`]; empty: every packet.
    pub program: Vec<FilterInstruction>,
}

/// Why a text is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It does not compile.
    #[error("the filter is wrong{}: {reason}", at(*.column))]
    Wrong {
        /// What libpcap says, or this tool.
        reason: String,
        /// The text, on one line.
        expression: String,
        /// The character where it goes wrong, from 1 on; one past the last if something is missing at the end.
        column: Option<usize>,
    },
    /// It compiles to more than a filter may have.
    #[error(
        "the filter compiles to {instructions} instructions, and {FILTER_INSTRUCTIONS} is the most: shorten it, or capture more and filter the file{}",
        if *.with_tags { "; for packets without a VLAN tag alone write (FILTER) and not vlan, which is a third as long" } else { "" }
    )]
    TooLong {
        /// How many it has.
        instructions: usize,
        /// Whether most of these are for packets with tags.
        with_tags: bool,
    },
    /// libpcap does not work.
    #[error("libpcap cannot compile filters here: {0}")]
    Library(String),
}

fn at(column: Option<usize>) -> String {
    column.map_or_else(String::new, |column| format!(" at column {column}"))
}

impl FilterError {
    /// The filter, and below it a caret where it goes wrong.
    pub fn pointer(&self) -> Option<String> {
        let Self::Wrong {
            expression,
            column: Some(column),
            ..
        } = self
        else {
            return None;
        };
        Some(format!("  {expression}\n  {:>column$}", '^'))
    }
}

impl Filter {
    /// Compiles `expression` for Ethernet frames, with VLAN tags or without, unless it speaks of tags itself: then for those that
    /// it says. Names of hosts in it are looked up, which takes as long as it takes.
    pub fn compile(expression: &str) -> Result<Self, FilterError> {
        // A line, so that a column is a column.
        let expression = expression.replace(char::is_control, " ");
        let compiler = Compiler::new()?;
        let program = if expression.trim().is_empty() {
            Vec::new()
        } else {
            let program = compiler
                .compile(&expression, true)
                .map_err(|reason| compiler.explain(&expression, &reason))?;
            if tags::speaks_of_tags(&expression) {
                program
            } else {
                tags::expand(&program)
            }
        };
        Self::check(expression, program)
    }

    /// Compiles an expression for packets that fit `keys` as well.
    pub fn compile_both(expression: &str, keys: Option<&Keys>) -> Result<Self, FilterError> {
        // By itself first: what is wrong with it is shown in what was written.
        let filter = Self::compile(expression)?;
        match keys {
            None => Ok(filter),
            Some(keys) if filter.program.is_empty() => Self::compile(&keys.to_string()),
            // Behind it, so that after `vlan 100` the keys are about what is in that VLAN.
            Some(keys) => Self::compile(&format!("({expression}) and {keys}")),
        }
    }

    /// Whether a packet matches of which `data` are the first bytes and that had `wire_length` bytes.
    pub fn matches(&self, data: &[u8], wire_length: u32) -> bool {
        self.program.is_empty() || run::run(&self.program, data, wire_length) != 0
    }

    /// Takes a program if the primary can run it.
    fn check(expression: String, program: Vec<FilterInstruction>) -> Result<Self, FilterError> {
        if program.len() > FILTER_INSTRUCTIONS {
            return Err(FilterError::TooLong {
                instructions: program.len(),
                with_tags: !tags::speaks_of_tags(&expression),
            });
        }
        if program.iter().any(reads_ancillary) {
            return Err(kernel_only(&expression));
        }
        if program.iter().any(jumps_back) {
            return Err(looping(&expression));
        }
        Ok(Self { expression, program })
    }
}

/// libpcap's compiler for Ethernet frames.
struct Compiler(Capture<Dead>);

impl Compiler {
    fn new() -> Result<Self, FilterError> {
        Capture::dead(Linktype::ETHERNET)
            .map(Self)
            .map_err(|error| FilterError::Library(error.to_string()))
    }

    /// The program, or libpcap's message.
    fn compile(&self, expression: &str, optimize: bool) -> Result<Vec<FilterInstruction>, String> {
        let program = self
            .0
            .compile(expression, optimize)
            .map_err(|error| match error {
                pcap::Error::PcapError(message) => message,
                other => other.to_string(),
            })?;
        program
            .get_instructions()
            .iter()
            // The fields have no other way out than their text: code, jt, jf and k, in decimal.
            .map(|instruction| instruction_of(&instruction.to_string()))
            .collect::<Option<_>>()
            .ok_or_else(|| "its instructions cannot be read".to_owned())
    }

    fn explain(&self, expression: &str, message: &str) -> FilterError {
        let compiles = |text: &str, optimize| self.compile(text, optimize).map(drop);
        let column = caret::find(expression, message, &compiles);
        let reason = message
            .strip_prefix("can't parse filter expression: ")
            .unwrap_or(message);
        FilterError::Wrong {
            reason: reason.to_owned(),
            expression: expression.to_owned(),
            column: column.map(|offset| column_of(expression, offset)),
        }
    }
}

/// An instruction from the text that it prints as.
pub(crate) fn instruction_of(text: &str) -> Option<FilterInstruction> {
    let mut fields = text.split(' ');
    Some(FilterInstruction {
        code: fields.next()?.parse().ok()?,
        jt: fields.next()?.parse().ok()?,
        jf: fields.next()?.parse().ok()?,
        k: fields.next()?.parse().ok()?,
    })
}

/// Loads from an offset that only the kernel's own interpreter knows.
fn reads_ancillary(instruction: &FilterInstruction) -> bool {
    let is_load = matches!(instruction.code & 0x07, 0x00 | 0x01);
    let is_absolute = instruction.code & 0xe0 == 0x20;
    is_load && is_absolute && instruction.k >= ANCILLARY
}

/// libpcap's one loop, which follows headers from one to the next: a jump that is not conditional, by a negative number.
fn jumps_back(instruction: &FilterInstruction) -> bool {
    instruction.code == 0x05 && instruction.k.cast_signed() < 0
}

fn looping(expression: &str) -> FilterError {
    let found = caret::tokens(expression);
    let found = found.into_iter().find(|token| token.text == "protochain");
    FilterError::Wrong {
        reason: "'protochain' goes from header to header in a loop, and a filter in a worker has none: use 'proto', or name the \
                 byte, as in ip6[40] = 17 behind a hop-by-hop header"
            .to_owned(),
        expression: expression.to_owned(),
        column: found.map(|token| column_of(expression, token.start)),
    }
}

fn kernel_only(expression: &str) -> FilterError {
    let found = caret::tokens(expression).into_iter().find_map(|token| {
        let (word, instead) = KERNEL_WORDS.into_iter().find(|(word, _)| *word == token.text)?;
        Some((token.start, word, instead))
    });
    let (reason, column) = match found {
        Some((start, word, instead)) => (
            format!("'{word}' asks what only the kernel knows: {instead}"),
            Some(column_of(expression, start)),
        ),
        None => ("it asks what only the kernel knows".to_owned(), None),
    };
    FilterError::Wrong {
        reason,
        expression: expression.to_owned(),
        column,
    }
}

/// The character that begins at a byte, from 1 on.
fn column_of(expression: &str, offset: usize) -> usize {
    let before = expression.char_indices().take_while(|(start, _)| *start < offset);
    before.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(expression: &str) -> (Option<usize>, String) {
        match Filter::compile(expression) {
            Err(FilterError::Wrong { column, reason, .. }) => (column, reason),
            other => panic!("{expression}: {other:?}"),
        }
    }

    #[test]
    fn filters_compile_to_programs_that_return() {
        for expression in [
            "udp port 500 or esp",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8",
            "vlan 100 and ip6",
            "ether host 02:00:00:00:10:02",
            "icmp[icmptype] = icmp-echo",
        ] {
            let program = Filter::compile(expression).unwrap().program;
            assert_eq!(
                program.last().map(|last| last.code & 0x07),
                Some(0x06),
                "{expression}"
            );
        }
    }

    #[test]
    fn an_empty_text_is_an_empty_program() {
        for expression in ["", " ", "\n"] {
            assert_eq!(Filter::compile(expression).unwrap().program, [], "{expression:?}");
        }
    }

    #[test]
    fn arp_is_the_program_that_everybody_knows() {
        let instruction = |code, jt, jf, k| FilterInstruction { code, jt, jf, k };
        // ldh [12]; jeq #0x806; ret all; ret nothing
        let compiler = Compiler::new().unwrap();
        assert_eq!(
            compiler.compile("arp", true).unwrap(),
            [
                instruction(0x28, 0, 0, 12),
                instruction(0x15, 0, 1, 0x0806),
                instruction(0x06, 0, 0, 65_535),
                instruction(0x06, 0, 0, 0)
            ]
        );
    }

    #[test]
    fn carets_stand_under_the_word_at_fault() {
        // The caret of each line belongs to the line above it.
        let table = "
            udp prt 500
                ^
            tcp port
                    ^
            tcp and and udp
                    ^
            icmp)
                ^
            (icmp or udp
                        ^
            ip[0 & 3
                    ^
            ip[0] &
                   ^
            ip[0] & 3 and udp
                      ^
            host 1.2.3.4 1.2.3.5 and arp
                         ^
            port 99999
                 ^
            portrange 10-
                      ^
            udp port nosuchservice and icmp
                     ^
            host no-such-host.invalid or arp
                 ^
            net 10.1.2.3/8
                ^
            net 10.0.0.0/33 or icmp
                         ^
            udp host 1.2.3.4
                ^
            ether proto nosuch
                        ^
            ip proto
                    ^
            not
               ^
            icmp or $x
                    ^
            tcp[13] & 2 != 0 foo bar
                             ^
            ether
                 ^
            vlan 5000
                 ^
            src or dst port 80 dst
                               ^
            src or dst port 80 or src
                                     ^
            icmp and tcp
                     ^
            less many
                 ^";
        let lines: Vec<&str> = table
            .lines()
            .skip(1)
            .map(|line| line.strip_prefix("            ").unwrap())
            .collect();
        let mut differ = Vec::new();
        for pair in lines.chunks(2) {
            let expected = pair[1].find('^').unwrap() + 1;
            let found = wrong(pair[0]);
            if found.0 != Some(expected) {
                differ.push(format!("{}: {found:?} instead of {expected}", pair[0]));
            }
        }
        assert!(differ.is_empty(), "{differ:#?}");
    }

    #[test]
    fn a_name_that_is_wrong_once_is_found_there() {
        let expression = "(udp and host localhost) or host localhost.invalid";
        assert_eq!(wrong(expression).0, Some(34));
    }

    #[test]
    fn what_cannot_run_in_a_worker_is_refused_with_what_to_use() {
        for (expression, column, instead) in [
            ("icmp and inbound", 10, "--direction rx"),
            ("outbound", 1, "--direction tx"),
            ("ifindex 3", 1, "-i"),
            ("udp or ip6 protochain 17", 12, "use 'proto'"),
        ] {
            let (found, reason) = wrong(expression);
            assert_eq!(found, Some(column), "{expression}: {reason}");
            assert!(reason.contains(instead), "{expression}: {reason}");
        }
    }

    #[test]
    fn the_caret_counts_characters_and_the_text_stays_on_one_line() {
        let error = Filter::compile("host\nä.invalid and\tx y").unwrap_err();
        let pointer = error.pointer().unwrap();
        let (text, caret) = pointer.split_once('\n').unwrap();
        assert_eq!(text, "  host ä.invalid and x y");
        assert_eq!(caret, "       ^", "{error}");
    }

    #[test]
    fn a_filter_that_is_too_long_is_refused() {
        let instruction = FilterInstruction {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: 0,
        };
        let check = |length| Filter::check("hosts".into(), vec![instruction; length]);
        assert!(check(FILTER_INSTRUCTIONS).is_ok());
        let error = check(FILTER_INSTRUCTIONS + 1).unwrap_err().to_string();
        assert!(error.contains("4096"), "{error}");
    }
}
