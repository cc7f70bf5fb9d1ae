//! What the tool says on the standard output. A reader that has gone is no reason to stop half way through a change to
//! the host, so nothing here fails.

/// Prints a line.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        drop(writeln!(std::io::stdout(), $($text)*));
    }};
}

pub(crate) use say;
