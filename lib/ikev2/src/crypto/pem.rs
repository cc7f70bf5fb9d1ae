//! The blocks of a PEM file (RFC 7468): what is between them is for people.

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// What it says to be.
    pub(crate) label: &'a str,
    /// All of it, with both of its lines.
    pub(crate) text: &'a str,
}

const BEGIN: &str = "-----BEGIN ";

/// The blocks, in their order. One without an end is none.
pub(crate) fn blocks(mut text: &str) -> impl Iterator<Item = Block<'_>> {
    std::iter::from_fn(move || {
        loop {
            let (_, begun) = text.split_at_checked(text.find(BEGIN)?)?;
            let inside = begun.get(BEGIN.len()..)?;
            text = inside;
            let label = inside.split_once("-----").map_or("", |(label, _)| label);
            let end = format!("-----END {label}-----");
            if let Some(at) = begun.find(&end)
                && let Some((block, behind)) = begun.split_at_checked(at + end.len())
            {
                text = behind;
                return Some(Block { label, text: block });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_anything() {
        let text = "subject=/CN=x\n-----BEGIN A-----\nAAAA\n-----END A-----\nwords -----BEGIN B-----\n-----BEGIN EC KEY-----\nBBBB\n-----END EC KEY-----";
        let found: Vec<(&str, usize)> = blocks(text)
            .map(|block| (block.label, block.text.lines().count()))
            .collect();
        assert_eq!(found, [("A", 3), ("EC KEY", 3)]);
        for text in [
            "",
            "-----BEGIN ",
            "-----BEGIN -----",
            "-----BEGIN A-----\n-----END B-----",
        ] {
            assert_eq!(blocks(text).count(), 0, "{text}");
        }
    }
}
