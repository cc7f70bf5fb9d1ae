//! Arguments that read like `ip`'s: a value, then keywords each followed by its own.

use std::fmt::Display;
use std::str::FromStr;

use packet::Protocol;

/// Words that are yet to be read.
pub(crate) struct Words<'a>(std::slice::Iter<'a, String>);

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [String]) -> Self {
        Self(words.iter())
    }

    /// The next word, which is `what` in the message when there is none.
    pub(crate) fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.0
            .next()
            .map(String::as_str)
            .ok_or_else(|| format!("{what} is missing"))
    }

    /// The next word, if there is one.
    pub(crate) fn next_if_any(&mut self) -> Option<&'a str> {
        self.0.next().map(String::as_str)
    }

    /// The next word if it is one of these; else it stays.
    pub(crate) fn next_of(&mut self, words: &[&str]) -> Option<&'a str> {
        let next = self.0.as_slice().first().map(String::as_str);
        let found = next.filter(|word| words.contains(word))?;
        self.0.next();
        Some(found)
    }

    /// The value after a keyword, for which there may be several words.
    pub(crate) fn after(&mut self, keywords: &[&str], what: &str) -> Result<&'a str, String> {
        let expected = format!("'{} {what}'", keywords[0]);
        let word = self.next(&expected)?;
        if !keywords.contains(&word) {
            return Err(format!("'{word}' stands where {expected} is expected"));
        }
        self.next(&expected)
    }

    /// The interface after `dev`.
    pub(crate) fn device(&mut self) -> Result<String, String> {
        self.after(&["dev", "interface"], "IFACE").map(str::to_owned)
    }

    /// Nothing may follow.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.0
            .next()
            .map_or(Ok(()), |word| Err(format!("'{word}' is one word too many")))
    }
}

/// Parses a word; `expected` says what it should have been.
pub(crate) fn parse<T: FromStr>(word: &str, expected: impl Display) -> Result<T, String> {
    word.parse().map_err(|_| format!("'{word}' is not {expected}"))
}

/// A protocol by the name that tables have, or by number.
pub(crate) fn protocol(word: &str) -> Result<u8, String> {
    (0..=u8::MAX)
        .find(|number| Protocol(*number).to_string() == word)
        .ok_or_else(|| {
            format!("'{word}' is no protocol: use a name such as rsvp or udp, or a number from 0 to 255")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(words: &str) -> Result<String, String> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let device = words.device()?;
        words.end().map(|()| device)
    }

    #[test]
    fn a_word_that_may_follow_is_taken_if_it_does() {
        let written = ["off", "dev"].map(str::to_owned);
        let mut words = Words::new(&written);
        assert_eq!(words.next_of(&["on", "off"]), Some("off"));
        assert_eq!(words.next_of(&["on", "off"]), None);
        assert_eq!(words.next_if_any(), Some("dev"));
        assert_eq!(words.next_of(&["on"]), None);
    }

    #[test]
    fn an_interface_follows_its_keyword() {
        assert_eq!(device("dev wan"), Ok("wan".into()));
        assert_eq!(device("interface wan"), Ok("wan".into()));
        assert_eq!(device("dev dev"), Ok("dev".into()));
        assert_eq!(device(""), Err("'dev IFACE' is missing".into()));
        assert_eq!(device("dev"), Err("'dev IFACE' is missing".into()));
        assert_eq!(
            device("via wan"),
            Err("'via' stands where 'dev IFACE' is expected".into())
        );
        assert_eq!(device("dev wan lan"), Err("'lan' is one word too many".into()));
    }
}
