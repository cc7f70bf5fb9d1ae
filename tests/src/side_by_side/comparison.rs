//! What was exchanged, held against what may be different.

use std::{collections::BTreeMap, fmt::Write};

use super::{allowed::Allowed, exchanged::Exchanged, topology::Topology};

/// All differences so far.
pub struct Comparison {
    allowed: Allowed,
    stimuli: usize,
    answered: usize,
    /// Each difference with the stimuli that have it.
    unlisted: BTreeMap<String, Vec<String>>,
}

impl Comparison {
    /// Nothing yet. `document` has the table of what may be, and `sources` are what each row's reason may refer to, such as `RFC `.
    ///
    /// # Panics
    /// It has none.
    pub fn new(document: &str, sources: &[&str]) -> Self {
        Self {
            allowed: Allowed::read(document, sources),
            stimuli: 0,
            answered: 0,
            unlisted: BTreeMap::new(),
        }
    }

    /// Lets the Python program at `path` send its stimuli and compares what comes out.
    ///
    /// # Panics
    /// It fails.
    pub fn exchange(&mut self, topology: &Topology, path: &str, words: &[&str]) {
        for exchanged in topology.exchange(path, words) {
            self.take(&exchanged);
        }
    }

    fn take(&mut self, exchanged: &Exchanged) {
        self.stimuli += 1;
        self.answered += usize::from(exchanged.has_output());
        for difference in exchanged.differences() {
            if !self.allowed.allows(&exchanged.key, &difference) {
                let keys = self.unlisted.entry(difference).or_default();
                keys.push(exchanged.key.clone());
            }
        }
    }

    /// Panics unless all differences are listed; gives the numbers of stimuli, and of those to which a router sent anything.
    #[track_caller]
    pub fn assert_listed(&self) -> (usize, usize) {
        println!("{} stimuli, {} with output", self.stimuli, self.answered);
        let mut text = String::new();
        for (difference, keys) in &self.unlisted {
            let _ = writeln!(text, "{difference}: {} stimuli: {}", keys.len(), keys.join(" "));
        }
        assert!(text.is_empty(), "differences that are not listed:\n{text}");
        (self.stimuli, self.answered)
    }

    /// Panics unless each entry of the document was needed.
    #[track_caller]
    pub fn assert_needed(&self) {
        assert_eq!(self.allowed.stale(), [""; 0], "listed, but not different");
    }
}
