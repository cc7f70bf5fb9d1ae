//! The differences that may be: the table of a document, read from the document itself.

use std::cell::Cell;

/// The table with these columns is the one.
const HEADING: &str = "| stimuli | difference | why |";

/// Which stimuli may differ in what. In both, `*` stands for any characters.
struct Entry {
    stimuli: String,
    difference: String,
    used: Cell<bool>,
}

/// All of them.
pub(super) struct Allowed(Vec<Entry>);

impl Allowed {
    /// Reads the table of a document. Each row's reason has to name one of `sources`.
    ///
    /// # Panics
    /// There is no table, or one that is not as it should be.
    pub(super) fn read(document: &str, sources: &[&str]) -> Self {
        let rows = document.lines().skip_while(|line| *line != HEADING).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let allowed = Self(rows.flat_map(|row| entries(row, sources)).collect());
        assert!(!allowed.0.is_empty(), "the document has no table: {HEADING}");
        allowed
    }

    /// Whether a stimulus may differ in this.
    pub(super) fn allows(&self, key: &str, difference: &str) -> bool {
        let mut found = false;
        for entry in &self.0 {
            if matches(&entry.stimuli, key) && matches(&entry.difference, difference) {
                entry.used.set(true);
                found = true;
            }
        }
        found
    }

    /// Entries that no stimulus has needed.
    pub(super) fn stale(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|entry| !entry.used.get());
        unused
            .map(|entry| format!("{}: {}", entry.stimuli, entry.difference))
            .collect()
    }
}

/// The entries of a row: each of its stimuli with each of its differences.
fn entries(row: &str, sources: &[&str]) -> Vec<Entry> {
    let columns: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
    let &[stimuli, difference, why] = &columns[..] else {
        panic!("not three columns: {row}");
    };
    assert!(
        sources.iter().any(|source| why.contains(source)),
        "none of {sources:?} says why: {row}"
    );
    let pairs =
        quoted(stimuli).flat_map(|stimuli| quoted(difference).map(move |difference| (stimuli, difference)));
    let made: Vec<_> = pairs
        .map(|(stimuli, difference)| Entry {
            stimuli: stimuli.to_owned(),
            difference: difference.to_owned(),
            used: Cell::new(false),
        })
        .collect();
    assert!(!made.is_empty(), "nothing in backquotes: {row}");
    made
}

/// What stands in backquotes.
fn quoted(column: &str) -> impl Iterator<Item = &str> {
    column.split('`').skip(1).step_by(2)
}

/// Whether `text` is what `pattern` says, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]);
            rest.is_empty() || tails.any(|tail| matches(rest, tail))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("ip4/ttl/1", "ip4/ttl/1", true),
            ("ip4/ttl/1", "ip4/ttl/12", false),
            ("ip4/*", "ip4/ttl", true),
            ("ip4/*", "ip6/ttl", false),
            ("ip4/*/echo", "ip4/a/b/echo", true),
            ("ip4/*/echo", "ip4/a/b/echo/c", false),
            ("*: icmp * on 1", "linux: icmp 3/1 on 1", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_entry_that_nothing_needs_is_stale() {
        let document = format!(
            "text\n{HEADING}\n|---|---|---|\n| `a/*`, `b` | `df` | RFC 1 |\n\n| `c` | `x` | no table |\n"
        );
        let allowed = Allowed::read(&document, &["RFC "]);
        assert!(allowed.allows("a/1", "df") && !allowed.allows("a/1", "tos") && !allowed.allows("c", "x"));
        assert_eq!(allowed.stale(), ["b: df"]);
    }
}
