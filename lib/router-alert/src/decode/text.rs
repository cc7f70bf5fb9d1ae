//! Bytes as text, if they are any.

/// The text of `bytes`, with what is not seen escaped; `None` if they are none.
pub(super) fn readable(bytes: &[u8]) -> Option<String> {
    let text = printable(bytes)?;
    let mut readable = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\n' | '\t') || !is_unseen(character) {
            readable.push(character);
        } else {
            readable.extend(character.escape_default());
        }
    }
    Some(readable)
}

/// Whether `bytes` are text.
pub(super) fn is_readable(bytes: &[u8]) -> bool {
    printable(bytes).is_some()
}

/// UTF-8 without control characters but those of lines and tabs, and without the zeros that C puts behind a text.
fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let is_text = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
    (!text.is_empty() && text.chars().all(is_text)).then_some(text)
}

/// Whether a character moves the cursor, is nothing to see, or turns the direction of what follows.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_comes_out_whole_with_its_lines() {
        for text in [
            "RSVP-demo-data!!",
            "net.core.rmem_default = 400382\n",
            "请将网卡\tMTU：\n",
            "ü 😀 \"'\\",
        ] {
            assert_eq!(readable(text.as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(readable(b"a text of C\0\0").as_deref(), Some("a text of C"));
    }

    #[test]
    fn what_is_not_seen_is_escaped() {
        assert_eq!(readable(b"one\r\ntwo").as_deref(), Some("one\\r\ntwo"));
        assert_eq!(
            readable("a\u{202e}b\u{2028}".as_bytes()).as_deref(),
            Some("a\\u{202e}b\\u{2028}")
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_none() {
        for bytes in [
            &b""[..],
            b"\0\0",
            b"a\0b",
            b"\x1b[2J",
            b"bell\x07",
            b"back\x08",
            b"delete\x7f",
            // The control sequence introducer of eight bits, as UTF-8 and alone.
            b"\xc2\x9b2J",
            b"\x9b2J",
            b"\xff\xfe",
            b"\xe8\xaf",
        ] {
            assert_eq!(readable(bytes), None, "{bytes:?}");
            assert!(!is_readable(bytes));
        }
    }

    proptest! {
        #[test]
        fn no_text_drives_a_terminal(text in any::<String>()) {
            let out = readable(text.as_bytes());
            prop_assert_eq!(out.is_some(), is_readable(text.as_bytes()));
            for character in out.unwrap_or_default().chars() {
                prop_assert!(matches!(character, '\n' | '\t') || !is_unseen(character), "{:?}", character);
            }
        }
    }
}
