//! Saying what is being done.
//!
//! `println!` panics when nobody reads any more (`cargo xtask demo | head`), and a panic would skip the clean-up.

use std::{fmt, io::Write};

/// Writes one line to stdout; that nobody reads it is no reason to stop.
pub(crate) fn write(line: fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Writes one line, formatted as by `println!`.
macro_rules! say {
    ($($words:tt)*) => { $crate::progress::write(format_args!($($words)*)) };
}
pub(crate) use say;

/// Writes a step's heading.
macro_rules! step {
    ($($words:tt)*) => { $crate::progress::write(format_args!("\n==> {}", format_args!($($words)*))) };
}
pub(crate) use step;

/// Writes a block of text, indented.
pub(crate) fn show(text: &str) {
    for line in text.lines() {
        say!("    {line}");
    }
}

/// Writes one line to stderr, as [`write`] does to stdout.
pub(crate) fn write_aside(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says how far something is that takes long.
macro_rules! aside {
    ($($words:tt)*) => { $crate::progress::write_aside(format_args!($($words)*)) };
}
pub(crate) use aside;
