//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::Path;

/// A place in the file, both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Place {
    /// Where a file begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place as messages have it: `file:line:column`.
    pub fn in_file(self, path: &Path) -> String {
        format!("{}:{}:{}", path.display(), self.line, self.column)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)
    }
}

/// One thing that is wrong: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Option<Place>,
    text: String,
}

impl Problem {
    /// Something at a place.
    pub fn at(path: &Path, place: Place, sentence: impl Into<String>) -> Self {
        let text = format!("{}: {}", place.in_file(path), sentence.into());
        Self {
            place: Some(place),
            text,
        }
    }

    /// Something about the file as a whole.
    pub fn of_file(path: &Path, sentence: impl Into<String>) -> Self {
        Self {
            place: None,
            text: format!("{}: {}", path.display(), sentence.into()),
        }
    }

    /// Something that the command line says.
    pub fn of_command_line(sentence: impl Into<String>) -> Self {
        Self {
            place: None,
            text: format!("command line: {}", sentence.into()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// Those found, in any order.
    pub fn of(mut problems: Vec<Problem>) -> Self {
        // Stable: what has no place of its own stands first, in the order of finding.
        problems.sort_by_key(|problem| problem.place);
        Self(problems)
    }

    /// The file cannot be read at all.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "name the file with --config",
            io::ErrorKind::PermissionDenied => "run as a user that may read it",
            io::ErrorKind::InvalidData => "write it in UTF-8",
            _ => "name another file with --config",
        };
        Self(vec![Problem::of_file(
            path,
            format!("the configuration cannot be read ({error}): {advice}"),
        )])
    }

    /// The problems, one sentence each.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
