//! A TOML document walked key by key, so that all that is wrong with it is found at once, each with its place.
//!
//! A section asks for its keys one after the other; what nobody asked for is unknown, and those asked for are the names
//! that it may have been meant to be.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{ConfigErrors, Place, Problem};

/// A value and where it is written.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// Where.
    pub place: Place,
    /// What.
    pub value: T,
}

impl<T> At<T> {
    /// Another value at the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            place: self.place,
            value: f(self.value),
        }
    }
}

/// The file: its text, to tell lines and columns, and what was found wrong in it.
pub struct Document<'a> {
    path: &'a Path,
    line_starts: Vec<usize>,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    /// Of which sections the places of keys are kept.
    keeps: fn(&str) -> bool,
    kept: RefCell<Vec<KeyPlace>>,
}

/// Where a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// Its section, as messages name it.
    pub section: &'static str,
    /// Where that begins.
    pub begin: Place,
    /// The key.
    pub key: &'static str,
    /// Where its value is.
    pub place: Place,
}

impl<'a> Document<'a> {
    /// The text of the file at `path`.
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Self::keeping(path, text, |_| false)
    }

    /// The same, with the places kept of the keys of those sections that `keeps` wants, by name.
    pub fn keeping(path: &'a Path, text: &'a str, keeps: fn(&str) -> bool) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            path,
            line_starts,
            text,
            problems: RefCell::new(Vec::new()),
            keeps,
            kept: RefCell::default(),
        }
    }

    /// The places of keys that are kept, as they were asked for.
    pub fn take_places(&self) -> Vec<KeyPlace> {
        self.kept.take()
    }

    /// Parses the text as TOML. Syntax errors are problems, and then there is no table.
    pub fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = self.place(error.span().map_or(0, |span| span.start));
            self.report(place, format!("this is not TOML: {}", error.message()));
        }
        errors.is_empty().then_some(table)
    }

    /// Line and column, both from 1, of a byte of the text.
    fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| before.chars().count() + 1);
        Place { line, column }
    }

    /// Notes a problem at a place in the file.
    pub fn report(&self, place: Place, sentence: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push(Problem::at(self.path, place, sentence));
    }

    /// Notes a problem that is the command line's.
    pub fn report_command_line(&self, sentence: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push(Problem::of_command_line(sentence));
    }

    /// Notes a problem of the file as a whole: something that is not there.
    pub fn report_missing(&self, sentence: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push(Problem::of_file(self.path, sentence));
    }

    /// Parses the text and has `walk` make something of it, which counts if nothing was found wrong.
    ///
    /// # Errors
    ///
    /// All that was found, in the order of the file.
    pub fn read_with<T>(
        self,
        walk: impl for<'d> FnOnce(Section<'d>) -> Option<T>,
    ) -> Result<T, ConfigErrors> {
        let table = self.parse();
        let made = table.as_ref().and_then(|table| walk(Section::root(&self, table)));
        drop(table);
        let errors = self.into_errors();
        match made {
            Some(made) if errors.problems().is_empty() => Ok(made),
            _ => Err(errors),
        }
    }

    /// All that was found, in the order of the file.
    pub fn into_errors(self) -> ConfigErrors {
        ConfigErrors::of(self.problems.into_inner())
    }
}

/// A table of the document, or one that is not there and has no keys.
pub struct Section<'d> {
    /// What it is part of.
    pub document: &'d Document<'d>,
    /// As messages name it: `[eal]`, `[[route]]`.
    name: &'static str,
    /// Where it begins.
    pub place: Place,
    table: Option<&'d DeTable<'d>>,
    asked: RefCell<Vec<&'static str>>,
    /// Whether the root is walked, where unknown names are sections.
    root: bool,
}

impl<'d> Section<'d> {
    /// The document itself, whose keys are sections.
    pub fn root(document: &'d Document<'d>, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self {
            root: true,
            ..Self::new(document, "the file", Place::START, Some(table.get_ref()))
        }
    }

    fn new(
        document: &'d Document<'d>,
        name: &'static str,
        place: Place,
        table: Option<&'d DeTable<'d>>,
    ) -> Self {
        Self {
            document,
            name,
            place,
            table,
            asked: RefCell::default(),
            root: false,
        }
    }

    fn value(&self, key: &'static str) -> Option<(Place, &'d DeValue<'d>)> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let value = self.table?.get(key)?;
        let place = self.document.place(value.span().start);
        if (self.document.keeps)(self.name) {
            self.document.kept.borrow_mut().push(KeyPlace {
                section: self.name,
                begin: self.place,
                key,
                place,
            });
        }
        Some((place, value.get_ref()))
    }

    fn wrong_type(&self, place: Place, key: &str, wanted: &str, found: &DeValue<'_>) {
        let found = found.type_str();
        self.document.report(
            place,
            format!("{key} in {} is {}, not {found}", self.name, wanted),
        );
    }

    /// The section `[name]`.
    pub fn section(&self, key: &'static str, name: &'static str) -> Section<'d> {
        let (place, table) = match self.value(key) {
            None => (Place::START, None),
            Some((place, DeValue::Table(table))) => (place, Some(table)),
            Some((place, DeValue::Array(_))) => {
                self.document
                    .report(place, format!("[[{key}]] is there once: write {name}"));
                (place, None)
            }
            Some((place, _)) => {
                self.document.report(
                    place,
                    format!("{key} is a section: write {name} and its keys below it"),
                );
                (place, None)
            }
        };
        Section::new(self.document, name, place, table)
    }

    /// All sections `[[name]]`, in order.
    pub fn sections(&self, key: &'static str, name: &'static str) -> Vec<Section<'d>> {
        match self.value(key) {
            None => Vec::new(),
            Some((_, DeValue::Array(items))) if items.iter().all(|item| item.get_ref().is_table()) => items
                .iter()
                .map(|item| {
                    let place = self.document.place(item.span().start);
                    Section::new(self.document, name, place, item.get_ref().as_table())
                })
                .collect(),
            Some((place, _)) => {
                let sentence = format!("there can be several of these: write {name} in double brackets");
                self.document.report(place, sentence);
                Vec::new()
            }
        }
    }

    /// The tables in the list at `key`, in order, or `None` where there is no such list.
    pub fn tables(&self, key: &'static str, example: &str) -> Option<Vec<Section<'d>>> {
        let (place, value) = self.value(key)?;
        let items = value
            .as_array()
            .filter(|items| items.iter().all(|item| item.get_ref().is_table()));
        let Some(items) = items else {
            self.wrong_type(place, key, &format!("a list of tables: write {example}"), value);
            return None;
        };
        let section = |item: &'d Spanned<DeValue<'d>>| {
            let place = self.document.place(item.span().start);
            Section::new(self.document, key, place, item.get_ref().as_table())
        };
        Some(items.iter().map(section).collect())
    }

    /// Whether there is a text at `key`, where something else may be as well.
    pub fn is_text(&self, key: &'static str) -> bool {
        self.table
            .and_then(|table| table.get(key))
            .is_some_and(|value| value.get_ref().is_str())
    }

    /// The text at `key`.
    pub fn string(&self, key: &'static str) -> Option<At<&'d str>> {
        let (place, value) = self.value(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(place, key, "a text in quotes", value);
        }
        text.map(|value| At { place, value })
    }

    /// The text at `key` as `T`, whose parser says what is wrong with it.
    pub fn parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<At<T>> {
        let text = self.string(key)?;
        self.parse(&text)
    }

    /// A text of this section as `T`.
    pub fn parse<T: FromStr<Err: Display>>(&self, text: &At<&str>) -> Option<At<T>> {
        match text.value.parse() {
            Ok(value) => Some(At {
                place: text.place,
                value,
            }),
            Err(error) => {
                self.document.report(text.place, error.to_string());
                None
            }
        }
    }

    /// Whether `key` is set to true or false.
    pub fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        let (place, value) = self.value(key)?;
        let truth = value.as_bool();
        if truth.is_none() {
            self.wrong_type(place, key, "true or false", value);
        }
        truth.map(|value| At { place, value })
    }

    /// The number at `key`, which must lie in `range`.
    pub fn integer<T>(&self, key: &'static str, range: RangeInclusive<T>) -> Option<At<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let (place, value) = self.value(key)?;
        let number = integer_of(value);
        if number.is_none() {
            self.wrong_type(place, key, "a whole number", value);
        }
        let number = number?;
        match T::try_from(number) {
            Ok(value) if range.contains(&value) => Some(At { place, value }),
            _ => {
                let sentence = format!(
                    "{key} = {number} in {} is out of range: use {} to {}",
                    self.name,
                    range.start(),
                    range.end()
                );
                self.document.report(place, sentence);
                None
            }
        }
    }

    /// The list of texts at `key`.
    pub fn strings(&self, key: &'static str) -> Option<Vec<At<&'d str>>> {
        self.list(key, "a list of texts: write [\"...\"]", DeValue::as_str)
    }

    /// The list of numbers at `key`.
    pub fn integers(&self, key: &'static str) -> Option<Vec<At<i64>>> {
        self.list(key, "a list of whole numbers: write [1, 2]", integer_of)
    }

    fn list<T>(
        &self,
        key: &'static str,
        wanted: &str,
        item_of: impl Fn(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<Vec<At<T>>> {
        let (place, value) = self.value(key)?;
        let Some(items) = value.as_array() else {
            self.wrong_type(place, key, wanted, value);
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let place = self.document.place(item.span().start);
            match item_of(item.get_ref()) {
                Some(value) => list.push(At { place, value }),
                None => self.wrong_type(place, key, wanted, item.get_ref()),
            }
        }
        Some(list)
    }

    /// Reports that `key`, which the section cannot do without, is not there.
    pub fn missing(&self, key: &str, example: &str) {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            self.document.report(
                self.place,
                format!("{} has no {key}: write {key} = {example}", self.name),
            );
        }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let kind = if self.root { "section" } else { "key" };
            let hint = suggestion(name, &asked);
            let place = self.document.place(key.span().start);
            let sentence = format!("unknown {kind} '{name}' in {}: {hint}", self.name);
            self.document.report(place, sentence);
        }
    }
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The end of a message that says that `name` is not known: what it was most likely meant to be, or all that is known.
pub fn suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| (known, strsim::damerau_levenshtein(name, known)))
        .filter(|(known, distance)| *distance <= 1 + known.chars().count().max(name.chars().count()) / 4)
        .min_by_key(|(_, distance)| *distance);
    match nearest {
        Some((nearest, _)) => format!("did you mean '{nearest}'?"),
        None => format!("there are {}", known.join(", ")),
    }
}
