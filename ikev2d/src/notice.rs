//! What people should know while the daemon works, on stderr.

use std::io::{self, Write};

use serde_json::json;

/// How notices and errors are said.
#[derive(Clone, Copy, Debug)]
pub struct Notices {
    /// As objects.
    pub json: bool,
    /// Errors alone.
    pub quiet: bool,
}

impl Notices {
    /// Says what has happened.
    pub fn say(&self, sentence: &str) {
        self.write(&self.line(sentence));
    }

    /// Says what is wrong and somebody has to see to, quiet or not.
    pub fn error(&self, sentence: &str) {
        self.write(&self.error_line(sentence));
    }

    /// The line of what has happened; empty where nothing is said.
    fn line(&self, sentence: &str) -> String {
        if self.quiet {
            return String::new();
        }
        self.error_line(sentence)
    }

    /// The line of what is wrong.
    fn error_line(&self, sentence: &str) -> String {
        if self.json {
            format!("{}\n", json!({ "notice": sentence }))
        } else {
            format!("{sentence}\n")
        }
    }

    /// Writes lines by one system call, since stderr is not buffered.
    fn write(&self, lines: &str) {
        if !lines.is_empty() {
            // Nobody is left to tell when stderr is closed.
            drop(io::stderr().write_all(lines.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_leaves_errors_alone() {
        for (quiet, json, said) in [
            (true, false, "wrong\n"),
            (true, true, "{\"notice\":\"wrong\"}\n"),
            (false, false, "attached\nwrong\n"),
        ] {
            let notices = Notices { json, quiet };
            assert_eq!(notices.line("attached") + &notices.error_line("wrong"), said);
        }
    }
}
