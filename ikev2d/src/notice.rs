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
        self.say_to(&mut io::stderr(), sentence);
    }

    /// Says what is wrong and somebody has to see to, quiet or not.
    pub fn error(&self, sentence: &str) {
        self.error_to(&mut io::stderr(), sentence);
    }

    fn say_to(&self, out: &mut impl Write, sentence: &str) {
        if !self.quiet {
            self.write(out, sentence);
        }
    }

    fn error_to(&self, out: &mut impl Write, sentence: &str) {
        self.write(out, sentence);
    }

    fn write(&self, out: &mut impl Write, sentence: &str) {
        // Nobody is left to tell when stderr is closed.
        drop(if self.json {
            writeln!(out, "{}", json!({ "notice": sentence }))
        } else {
            writeln!(out, "{sentence}")
        });
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
            let mut out = Vec::new();
            notices.say_to(&mut out, "attached");
            notices.error_to(&mut out, "wrong");
            assert_eq!(String::from_utf8(out).unwrap(), said);
        }
    }
}
