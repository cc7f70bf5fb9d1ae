//! How packets are printed.

use clap::{ArgAction, Args};

use crate::print::{Dump, Style, TimeStyle};

/// What is said of packets, as tcpdump's letters have it.
#[derive(Debug, Args)]
pub struct LineArguments {
    /// Say MAC addresses, EtherType and length of the frame as well
    #[arg(short = 'e')]
    pub link: bool,

    /// The time: -t none, -tt seconds since 1970, -ttt since the packet before, -tttt with the date, -ttttt since the first
    #[arg(short = 't', action = ArgAction::Count, value_parser = clap::value_parser!(u8).range(..=5))]
    pub time: u8,

    /// The bytes of each packet as well, -xx with the link header; with --json all of them, as digits
    #[arg(short = 'x', action = ArgAction::Count, value_parser = clap::value_parser!(u8).range(..=2))]
    pub hexadecimal: u8,

    /// The bytes of each packet as well, as digits and as characters, -XX with the link header
    #[arg(short = 'X', action = ArgAction::Count, value_parser = clap::value_parser!(u8).range(..=2))]
    pub characters: u8,
}

impl LineArguments {
    /// How that is done, with `json` as objects.
    pub fn style(&self, json: bool) -> Style {
        let most = self.hexadecimal.max(self.characters);
        Style {
            json,
            time: TimeStyle::by_count(self.time),
            link: self.link,
            dump: (most > 0).then_some(Dump {
                link: most > 1,
                characters: self.characters > 0,
            }),
        }
    }
}
