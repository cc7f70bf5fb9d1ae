//! The output of a process, collected by a reader thread as it comes, from a pipe or from a growing file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Error, interrupt};

/// A file that a process writes, read until the process has ended.
pub(crate) struct Tail {
    file: File,
    has_ended: Arc<AtomicBool>,
}

impl Tail {
    pub(crate) fn open(path: &Path, has_ended: &Arc<AtomicBool>) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            has_ended: Arc::clone(has_ended),
        })
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading: what a dead process wrote is then in the file.
            let has_ended = self.has_ended.load(Ordering::Acquire);
            let length = self.file.read(buffer)?;
            if length > 0 || has_ended {
                return Ok(length);
            }
            thread::sleep(interrupt::TICK);
        }
    }
}

/// The lines of one output stream, as a reader thread collects them.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    text: String,
    at_end: bool,
}

impl Capture {
    pub(crate) fn follow(&self, pipe: impl Read + Send + 'static, mut shown: Option<Box<dyn Write + Send>>) {
        let capture = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line);
                if let Some(terminal) = &mut shown {
                    // Nobody reading is no reason to stop.
                    let _ = terminal.write_all(text.as_bytes());
                }
                capture.lines().text.push_str(&text);
                capture.0.1.notify_all();
                line.clear();
            }
            capture.lines().at_end = true;
            capture.0.1.notify_all();
        });
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn text(&self) -> String {
        self.lines().text.clone()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.lines().at_end
    }

    pub(crate) fn find(&self, is_event: impl Fn(&str) -> bool) -> Option<String> {
        self.lines()
            .text
            .lines()
            .find(|line| is_event(line))
            .map(str::to_owned)
    }

    pub(crate) fn forget_first_line(&self) {
        let mut lines = self.lines();
        lines.text = lines
            .text
            .split_once('\n')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
    }

    pub(crate) fn wait_for_more(&self, limit: Duration) {
        // A timeout and a wake-up are the same to the caller, who looks again.
        let _ = self.0.1.wait_timeout(self.lines(), limit);
    }
}
