//! Aligned columns for people. Written for long listings: all text lies in one string, and it is gone through twice.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) align: Align,
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column of text.
pub(crate) const fn left(head: &'static str) -> Column {
    Column {
        head,
        align: Align::Left,
    }
}

/// A column of numbers.
pub(crate) const fn right(head: &'static str) -> Column {
    Column {
        head,
        align: Align::Right,
    }
}

/// What stands where there is nothing to say.
const NOTHING: &str = "-";
const GAP: usize = 2;

/// A table under construction: cell after cell, line after line.
pub(crate) struct Table {
    columns: Vec<Column>,
    text: String,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// As wide as the columns are at least: of heads and lines that were written already.
    widths: Vec<usize>,
    /// Whether the heads were written.
    headed: bool,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            widths: columns.iter().map(|column| column.head.len()).collect(),
            columns,
            text: String::new(),
            ends: Vec::new(),
            headed: false,
        }
    }

    /// Adds the next cell of the line, or begins the next line. Empty text becomes a dash.
    pub(crate) fn cell(&mut self, value: impl Display) -> &mut Self {
        let start = self.text.len();
        // Writing to a string fails only when a Display does, and then the cell is what was written so far.
        let _ = write!(self.text, "{value}");
        if self.text.len() == start {
            self.text.push_str(NOTHING);
        }
        self.ends.push(self.text.len());
        self
    }

    /// Adds a cell that may have nothing to say.
    pub(crate) fn optional(&mut self, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.cell(value),
            None => self.cell(NOTHING),
        }
    }

    /// Writes heads and lines, without trailing blanks.
    pub(crate) fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        for line in Self::lines(&self.ends, &self.text, self.columns.len()) {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !std::mem::replace(&mut self.headed, true) {
            self.write_line(out, self.columns.iter().map(|column| column.head))?;
        }
        Self::lines(&self.ends, &self.text, self.columns.len())
            .try_for_each(|line| self.write_line(out, line))
    }

    /// Writes what there is if it is `lines` lines or more, and forgets it: a listing without end needs no more memory, and its columns
    /// are as wide as they must be so far.
    pub(crate) fn write_if_long(&mut self, lines: usize, out: &mut impl Write) -> io::Result<()> {
        if self.ends.len() >= lines.saturating_mul(self.columns.len()) {
            self.write(out)?;
            self.text.clear();
            self.ends.clear();
        }
        Ok(())
    }

    fn lines<'a>(
        ends: &'a [usize],
        text: &'a str,
        columns: usize,
    ) -> impl Iterator<Item = impl Iterator<Item = &'a str>> {
        let mut start = 0;
        ends.chunks(columns.max(1)).map(move |ends| {
            let first = start;
            start = ends.last().copied().unwrap_or(start);
            ends.iter().scan(first, |from, end| {
                let cell = &text[*from..*end];
                *from = *end;
                Some(cell)
            })
        })
    }

    fn write_line<'a>(&self, out: &mut impl Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
        // Blanks are owed until a cell follows them.
        let mut owed = 0;
        for ((cell, width), column) in cells.zip(&self.widths).zip(&self.columns) {
            let padding = width.saturating_sub(cell.chars().count());
            let (before, after) = match column.align {
                Align::Left => (0, padding),
                Align::Right => (padding, 0),
            };
            write!(out, "{:blanks$}{cell}", "", blanks = owed + before)?;
            owed = after + GAP;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &mut Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(vec![left("NAME"), right("PACKETS"), left("STATE")]);
        table.cell("wan").cell(7).cell("up");
        table.cell("a-long-name").cell(1_234_567_890_u64).cell("");
        table.cell("ü").optional(None::<u8>).optional(Some("down"));
        let expected = "\
NAME            PACKETS  STATE
wan                   7  up
a-long-name  1234567890  -
ü                     -  down
";
        assert_eq!(text(&mut table), expected);
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(text(&mut Table::new(vec![left("A"), right("B")])), "A  B\n");
    }

    #[test]
    fn a_long_listing_is_written_in_parts_with_its_heads_once() {
        let mut table = Table::new(vec![left("NAME"), right("N")]);
        let mut out = Vec::new();
        for (name, n) in [("a", 1), ("longer", 10), ("b", 2)] {
            table.cell(name).cell(n);
            table.write_if_long(2, &mut out).unwrap();
        }
        table.write(&mut out).unwrap();
        let expected = "NAME     N\na        1\nlonger  10\nb        2\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
