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
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            text: String::new(),
            ends: Vec::new(),
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
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut widths: Vec<_> = self.columns.iter().map(|column| column.head.len()).collect();
        for line in self.lines() {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heads: Vec<_> = self.columns.iter().map(|column| column.head).collect();
        self.write_line(out, &widths, heads.into_iter())?;
        self.lines()
            .try_for_each(|line| self.write_line(out, &widths, line))
    }

    fn lines(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        let mut start = 0;
        self.ends.chunks(self.columns.len().max(1)).map(move |ends| {
            let first = start;
            start = ends.last().copied().unwrap_or(start);
            ends.iter().scan(first, |from, end| {
                let cell = &self.text[*from..*end];
                *from = *end;
                Some(cell)
            })
        })
    }

    fn write_line<'a>(
        &self,
        out: &mut impl Write,
        widths: &[usize],
        cells: impl Iterator<Item = &'a str>,
    ) -> io::Result<()> {
        // Blanks are owed until a cell follows them.
        let mut owed = 0;
        for ((cell, width), column) in cells.zip(widths).zip(&self.columns) {
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

    fn text(table: &Table) -> String {
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
        assert_eq!(text(&table), expected);
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(text(&Table::new(vec![left("A"), right("B")])), "A  B\n");
    }
}
