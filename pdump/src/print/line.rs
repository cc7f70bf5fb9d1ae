//! A line that is being written.

use std::fmt::{Arguments, Write};

/// What is said of a packet: first what tcpdump says, in its words, then in brackets what it does not say, or only when asked for
/// more.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    notes: String,
    /// Whether MAC addresses and EtherTypes are said: then "IP" is not, as the EtherType says so.
    pub(super) link: bool,
}

impl Line {
    /// With the link header, or without.
    pub(super) fn new(link: bool) -> Self {
        Self {
            link,
            ..Self::default()
        }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.notes.clear();
    }

    pub(super) fn put(&mut self, words: Arguments<'_>) {
        // A string takes everything.
        let _ = self.text.write_fmt(words);
    }

    pub(super) fn put_str(&mut self, words: &str) {
        self.text.push_str(words);
    }

    /// For the brackets at the end.
    pub(super) fn note(&mut self, words: Arguments<'_>) {
        if !self.notes.is_empty() {
            self.notes.push_str(", ");
        }
        let _ = self.notes.write_fmt(words);
    }

    /// The mark of something that was cut, as tcpdump has it: `[|udp]`.
    pub(super) fn cut(&mut self, what: &str) {
        self.put(format_args!("[|{what}]"));
    }

    /// The line, whole.
    pub(super) fn end(&mut self) -> &str {
        if !self.notes.is_empty() {
            self.text.push_str(" (");
            self.text.push_str(&self.notes);
            self.text.push(')');
            self.notes.clear();
        }
        &self.text
    }
}

/// Writes to a [`Line`].
macro_rules! put {
    ($line:expr, $($words:tt)+) => { $line.put(format_args!($($words)+)) };
}

/// Writes to the brackets of a [`Line`].
macro_rules! note {
    ($line:expr, $($words:tt)+) => { $line.note(format_args!($($words)+)) };
}

pub(super) use {note, put};
