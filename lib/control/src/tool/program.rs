//! What a tool does from its command line to its exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use serde_json::{Map, Value, json};

use super::{print_completion, print_man_page, sentence};
use crate::arguments::InstanceArguments;

/// What each tool does besides its work.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Print the completion script of a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page
    Man,
}

/// The command line of a tool.
pub trait Arguments: Parser {
    /// The tool's name, as it is typed.
    const TOOL: &'static str;

    /// Which instance it is for.
    fn instance(&self) -> &InstanceArguments;

    /// Whether it is only to say if it could attach.
    fn check(&self) -> bool;

    /// Whether it is read by programs.
    fn json(&self) -> bool;

    /// What it does instead of its work.
    fn command(&self) -> Option<Command>;
}

/// Why a tool did not do what it was asked, which [`run`] says: one sentence, or with `--json` one object, on stderr.
pub trait Failure: Display + From<io::Error> {
    /// The command line is wrong.
    fn usage(sentence: String) -> Self;

    /// The code in the object.
    fn code(&self) -> &'static str;

    /// The status to exit with: 1, or 2 for wrong usage.
    fn status(&self) -> u8;

    /// What could not be printed, if it was that.
    fn unprinted(&self) -> Option<&io::Error>;

    /// What is said on stderr: each line a sentence.
    fn text(&self) -> String {
        let text = self.to_string();
        let lines: Vec<_> = text.lines().map(|line| format!("error: {line}")).collect();
        lines.join("\n")
    }

    /// Adds to the object what the sentence does not say to programs.
    fn add_details(&self, _: &mut Map<String, Value>) {}
}

/// Reads the command line and does what it says: `work`, if that is nothing that all tools do. Gives the status to exit with.
pub fn run<A: Arguments, F: Failure>(work: impl FnOnce(&A) -> Result<(), F>) -> ExitCode {
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            return report(&F::usage(sentence(&error)), true);
        }
        Err(error) => error.exit(),
    };
    if arguments.check() {
        return crate::check::report(arguments.instance(), A::TOOL);
    }
    let outcome = match arguments.command() {
        Some(Command::Completion { shell }) => print_completion::<A>(A::TOOL, shell).map_err(F::from),
        Some(Command::Man) => print_man_page::<A>().map_err(F::from),
        None => work(&arguments),
    };
    outcome.map_or_else(
        |failure| report(&failure, arguments.json()),
        |()| ExitCode::SUCCESS,
    )
}

/// Says what failed and gives the status to exit with.
fn report<F: Failure>(failure: &F, json: bool) -> ExitCode {
    // Whoever read the page or script has seen enough.
    if failure
        .unprinted()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    {
        return ExitCode::SUCCESS;
    }
    let said = if json {
        object(failure).to_string()
    } else {
        failure.text()
    };
    // Nobody is left to tell when stderr is closed; the status remains.
    drop(writeln!(io::stderr(), "{said}"));
    ExitCode::from(failure.status())
}

fn object<F: Failure>(failure: &F) -> Value {
    let mut error = Map::new();
    error.insert("code".to_owned(), json!(failure.code()));
    error.insert("message".to_owned(), json!(failure.to_string()));
    failure.add_details(&mut error);
    json!({ "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the first is wrong\nand the second")]
    struct Two;

    impl From<io::Error> for Two {
        fn from(_: io::Error) -> Self {
            Self
        }
    }

    impl Failure for Two {
        fn usage(_: String) -> Self {
            Self
        }

        fn code(&self) -> &'static str {
            "usage"
        }

        fn status(&self) -> u8 {
            2
        }

        fn unprinted(&self) -> Option<&io::Error> {
            None
        }

        fn add_details(&self, error: &mut Map<String, Value>) {
            error.insert("column".to_owned(), json!(7));
        }
    }

    #[test]
    fn a_failure_is_a_sentence_a_line_or_one_object() {
        assert_eq!(Two.text(), "error: the first is wrong\nerror: and the second");
        let expected = json!({
            "error": { "code": "usage", "message": "the first is wrong\nand the second", "column": 7 },
        });
        assert_eq!(object(&Two), expected);
        assert_eq!(report(&Two, true), ExitCode::from(2));
    }
}
