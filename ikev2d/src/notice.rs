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
        if self.quiet {
            return;
        }
        // Nobody is left to tell when stderr is closed.
        drop(if self.json {
            writeln!(io::stderr(), "{}", json!({ "notice": sentence }))
        } else {
            writeln!(io::stderr(), "{sentence}")
        });
    }
}
