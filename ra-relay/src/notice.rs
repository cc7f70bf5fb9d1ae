//! What people should know while the relay works, on stderr.

use std::io::{self, Write};

use serde_json::json;

/// How notices are said.
#[derive(Clone, Copy, Debug)]
pub struct Notices {
    /// As objects.
    pub json: bool,
}

impl Notices {
    /// Says a sentence.
    pub fn say(&self, sentence: &str) {
        // Nobody is left to tell when stderr is closed.
        drop(if self.json {
            writeln!(io::stderr(), "{}", json!({ "notice": sentence }))
        } else {
            writeln!(io::stderr(), "{sentence}")
        });
    }
}
