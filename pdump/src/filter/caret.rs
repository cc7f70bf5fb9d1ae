//! Where a filter goes wrong. libpcap names no position, so it is asked again: a word is at fault if the text up to and
//! including it cannot be completed to anything that compiles.

use std::time::{Duration, Instant};

/// What may be missing behind a text that is fine so far. One of these goes on from any place of the grammar.
const COMPLETIONS: [&str; 18] = [
    "",
    " ip",
    " 1",
    " = 1",
    " 1 = 1",
    " 1.2.3.4",
    " ::1",
    " 1:2:3:4:5:6",
    " port 1",
    " 1-2",
    " proto 1",
    " dst 1.2.3.4",
    " dst port 1",
    " dst ::1",
    " dst 1:2:3:4:5:6",
    " 255.255.255.255",
    " 32",
    " 128",
];

/// The search may ask for the names of hosts many times over; if that takes longer, the caret is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Compiles a text, optimised or not, and gives libpcap's message if it cannot.
pub(super) type Compiles<'a> = dyn Fn(&str, bool) -> Result<(), String> + 'a;

/// A word, number, address or operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Where it begins, in bytes.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The byte at which `expression` goes wrong, given libpcap's `message` about it: that of a word, or the end of the text
/// if something is missing there.
pub(super) fn find(expression: &str, message: &str, compiles: &Compiles<'_>) -> Option<usize> {
    let tokens = tokens(expression);
    if let Some(named) = named(message)
        && let Some(start) = find_named(expression, message, named, &tokens, compiles)
    {
        return Some(start);
    }
    // That no packet can match is something only the optimiser finds.
    let optimize = message.contains("rejects all packets");
    let deadline = Instant::now() + PATIENCE;
    let mut open = Vec::new();
    for token in &tokens {
        match token.text {
            "(" => open.push(')'),
            "[" => open.push(']'),
            ")" | "]" => drop(open.pop()),
            _ => {}
        }
        let so_far = expression.get(..token.end())?;
        let can_go_on = completions(&open).any(|rest| compiles(&format!("{so_far}{rest}"), optimize).is_ok());
        if !can_go_on {
            return Some(token.start);
        }
        if Instant::now() > deadline {
            return None;
        }
    }
    Some(expression.trim_end().len())
}

/// The word that a message is about: unknown host 'x', unknown protocol: x, non-network bits set in "x".
fn named(message: &str) -> Option<&str> {
    let quoted = |quote| {
        let (_, rest) = message.split_once(quote)?;
        rest.rsplit_once(quote).map(|(name, _)| name)
    };
    if message.starts_with("unknown ") {
        quoted('\'').or_else(|| message.split_once(": ").map(|(_, name)| name))
    } else if message.starts_with("non-network bits") {
        quoted('"')
    } else {
        None
    }
}

/// Where the word stands that libpcap named.
fn find_named(
    expression: &str,
    message: &str,
    name: &str,
    tokens: &[Token<'_>],
    compiles: &Compiles<'_>,
) -> Option<usize> {
    let candidates: Vec<_> = tokens
        .iter()
        // What libpcap calls one word may be several here (10.0.0.0/8).
        .filter(|token| {
            let rest = expression.get(token.start..).unwrap_or_default();
            let rest = rest.strip_prefix('\\').unwrap_or(rest);
            rest.strip_prefix(name)
                .is_some_and(|after| !after.starts_with(is_word))
        })
        .collect();
    // A service may well be known where a host of its name is not.
    let at_fault = |token: &&&Token<'_>| {
        let so_far = expression.get(..token.start + name.len()).unwrap_or_default();
        compiles(so_far, false).is_err_and(|again| again == message)
    };
    match candidates.as_slice() {
        [only] => Some(only.start),
        several => several.iter().find(at_fault).map(|token| token.start),
    }
}

/// The words and operators of a filter.
pub(super) fn tokens(expression: &str) -> Vec<Token<'_>> {
    const LONG_OPERATORS: [&str; 8] = ["&&", "||", "!=", ">=", "<=", "==", "<<", ">>"];
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = expression.get(start..)
        && let Some(first) = rest.chars().next()
    {
        let length = if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        } else if first.is_alphanumeric() || matches!(first, '\\' | ':') {
            // '-' and '.' are part of a word (icmp-echo, 1-2), but begin none.
            rest.find(|next| !is_word(next)).unwrap_or(rest.len())
        } else if LONG_OPERATORS.iter().any(|operator| rest.starts_with(operator)) {
            2
        } else {
            first.len_utf8()
        };
        let Some(text) = rest.get(..length.max(first.len_utf8())) else {
            break;
        };
        tokens.push(Token { start, text });
        start += text.len();
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ':' | '\\')
}

/// What may follow a text in which these brackets are still to be closed, the innermost last. A comparison may be
/// missing behind any of them.
fn completions(open: &[char]) -> impl Iterator<Item = String> {
    let closers: Vec<char> = open.iter().rev().copied().collect();
    COMPLETIONS.into_iter().flat_map(move |rest| {
        let closers = closers.clone();
        (0..=closers.len()).map(move |comparison| {
            let mut text = rest.to_owned();
            for (closed, closer) in (1..).zip(&closers) {
                text.push(*closer);
                if closed == comparison {
                    text.push_str(" = 1");
                }
            }
            text
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(expression: &str) -> Vec<&str> {
        tokens(expression).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_operators_and_addresses_are_told_apart() {
        assert_eq!(
            texts("tcp[0:2]&0xf!=icmp-echo && (net 10.0.0.0/8||ether host 02:00:00:00:10:02)"),
            [
                "tcp",
                "[",
                "0:2",
                "]",
                "&",
                "0xf",
                "!=",
                "icmp-echo",
                "&&",
                "(",
                "net",
                "10.0.0.0",
                "/",
                "8",
                "||",
                "ether",
                "host",
                "02:00:00:00:10:02",
                ")"
            ]
        );
    }

    #[test]
    fn open_brackets_are_closed_with_a_comparison_at_each_place() {
        let rest: Vec<_> = completions(&[')', ']']).take(3).collect();
        assert_eq!(rest, ["])", "] = 1)", "]) = 1"]);
    }

    #[test]
    fn a_search_that_takes_too_long_is_given_up() {
        let slow = |_: &str, _| {
            std::thread::sleep(PATIENCE + Duration::from_millis(1));
            Ok(())
        };
        assert_eq!(find("a b", "syntax error", &slow), None);
    }

    proptest! {
        #[test]
        fn tokens_are_the_text_without_its_spaces(text in ".{0,80}") {
            let joined: String = texts(&text).concat();
            let expected: String = text.chars().filter(|character| !character.is_whitespace()).collect();
            prop_assert_eq!(joined, expected);
            for token in tokens(&text) {
                prop_assert_eq!(text.get(token.start..token.end()), Some(token.text));
            }
        }
    }
}
