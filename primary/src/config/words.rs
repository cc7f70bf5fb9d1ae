//! Keys whose values are one of a few words.

use document::Section;

/// The words of a key and what they mean.
pub(super) type Words<T, const N: usize> = [(&'static str, T); N];

/// What the word of a key means, if it is there and known.
pub(super) fn word<T: Copy, const N: usize>(
    section: &Section<'_>,
    key: &'static str,
    words: &Words<T, N>,
) -> Option<T> {
    let text = section.string(key)?;
    let found = words.iter().find(|(word, _)| *word == text.value);
    if found.is_none() {
        let known = words
            .each_ref()
            .map(|(word, _)| format!("\"{word}\""))
            .join(" or ");
        let sentence = format!("{key} = '{}' is not known: use {known}", text.value);
        section.document.report(text.place, sentence);
    }
    found.map(|(_, value)| *value)
}

/// The word for a value.
pub(super) fn name<T: PartialEq, const N: usize>(words: &Words<T, N>, value: &T) -> &'static str {
    let found = words.iter().find(|(_, meant)| meant == value);
    found.map_or("", |(word, _)| word)
}
