//! The guest's second serial port, by which a test has commands run there.
//!
//! ```text
//!   test  ─► NUMBER COMMAND\n
//!   guest ─► @NUMBER STATUS SIZE-OF-STDOUT SIZE-OF-STDERR\n and both
//! ```
//!
//! That it is ready the guest says as if it answered a command 0.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

/// How a command ended.
pub struct Answer {
    /// The exit status, as a shell has it.
    pub status: u8,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

/// The test's end of the line.
pub(super) struct Shell {
    line: BufReader<UnixStream>,
    number: u32,
}

impl Shell {
    /// A line to a guest that may not be ready yet.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            line: BufReader::new(stream),
            number: 0,
        }
    }

    /// Waits until the guest is ready, and fails if it is not within `limit`.
    pub(super) fn ready(&mut self, limit: Duration) -> io::Result<()> {
        self.answer(limit).map(drop)
    }

    /// Runs a command of one line, and fails if the guest is silent for longer than `limit`.
    pub(super) fn run(&mut self, command: &str, limit: Duration) -> io::Result<Answer> {
        assert!(!command.contains('\n'), "a command is one line: {command}");
        self.number += 1;
        writeln!(self.line.get_mut(), "{} {command}", self.number)?;
        self.answer(limit)
    }

    fn answer(&mut self, limit: Duration) -> io::Result<Answer> {
        self.line.get_mut().set_read_timeout(Some(limit))?;
        let start = format!("@{} ", self.number);
        loop {
            let mut text = String::new();
            if self.line.read_line(&mut text)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // What else stands there was written before the guest had the line for itself.
            let Some(numbers) = text.strip_prefix(&start) else {
                continue;
            };
            let numbers: Vec<usize> = numbers.split_whitespace().flat_map(str::parse).collect();
            let [status, stdout, stderr] = numbers[..] else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            };
            return Ok(Answer {
                status: u8::try_from(status).unwrap_or(u8::MAX),
                stdout: self.take(stdout)?,
                stderr: self.take(stderr)?,
            });
        }
    }

    fn take(&mut self, size: usize) -> io::Result<String> {
        let mut bytes = vec![0; size];
        self.line.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
