//! What people should know while the daemon works, on stderr.

use std::io::{self, Write};

use serde_json::json;

/// How notices are said.
#[derive(Clone, Copy, Debug)]
pub struct Notices {
    /// As objects.
    pub json: bool,
    /// Not at all.
    pub quiet: bool,
}

impl Notices {
    /// Says a sentence.
    pub fn say(&self, sentence: &str) {
        self.write(&self.line(sentence));
    }

    /// The line of a sentence, to be written with others; empty where nothing is said.
    pub(crate) fn line(&self, sentence: &str) -> String {
        if self.quiet {
            String::new()
        } else if self.json {
            format!("{}\n", json!({ "notice": sentence }))
        } else {
            format!("{sentence}\n")
        }
    }

    /// Writes lines by one system call, since stderr is not buffered.
    pub(crate) fn write(&self, lines: &str) {
        if !lines.is_empty() {
            // Nobody is left to tell when stderr is closed.
            drop(io::stderr().write_all(lines.as_bytes()));
        }
    }
}
