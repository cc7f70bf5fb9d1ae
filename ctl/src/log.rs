//! `log show`, `log set`: log levels per module, at run time.

use clap::{Args, Subcommand};
use control::message::{LogLevel, Reply, Request};
use serde::Serialize;

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left};
use crate::words::Words;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl log
  tollgate-ctl log set arp debug
  tollgate-ctl log set info

Levels: emerg, alert, crit, err, warning, notice, info, debug. 'default' is the level of modules that have none of
their own.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the levels
    Show,
    /// Set the level of a module, or the default
    Set {
        /// The module, or none for the default, and its new level
        #[arg(required = true, value_name = "[MODULE] LEVEL", num_args = 1..=2)]
        words: Vec<String>,
    },
}

/// The level of a module.
#[derive(Debug, Serialize)]
struct Level {
    module: String,
    level: LogLevel,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Set { words }) => session.change(set_request(&words).map_err(Failure::Usage)?),
        Some(Verb::Show) | None => show(session),
    }
}

fn set_request(words: &[String]) -> Result<Request, String> {
    let (module, words) = match words {
        [module, level @ ..] if !level.is_empty() => (Some(module.clone()), level),
        words => (None, words),
    };
    let mut words = Words::new(words);
    let level = words.next("the level")?.parse()?;
    words.end().map(|()| Request::LogSet { module, level })
}

fn show(session: &Session) -> Result<(), Failure> {
    let mut client = session.client()?;
    session.show(|| match session.call(&mut client, Request::LogShow)? {
        Reply::Log(levels) => Ok(levels
            .into_iter()
            .map(|(module, level)| Level { module, level })
            .collect::<Vec<_>>()
            .into()),
        other => Err(unexpected(&other)),
    })
}

impl Show for Level {
    const COLUMNS: &'static [Column] = &[left("MODULE"), left("LEVEL")];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table.cell(&self.module).cell(self.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_a_level_and_two_are_module_and_level() {
        let request =
            |words: &[&str]| set_request(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let level = LogLevel::Debug;
        assert_eq!(request(&["debug"]), Ok(Request::LogSet { module: None, level }));
        assert_eq!(
            request(&["arp", "debug"]),
            Ok(Request::LogSet {
                module: Some("arp".into()),
                level
            })
        );
        assert!(request(&["arp"]).unwrap_err().contains("use one of emerg"));
        assert!(request(&["arp", "loud"]).is_err());
    }

    #[test]
    fn the_json_form_is_stable() {
        let level = Level {
            module: "arp".into(),
            level: LogLevel::Warning,
        };
        assert_eq!(
            serde_json::to_string(&level).unwrap(),
            r#"{"module":"arp","level":"warning"}"#
        );
    }
}
