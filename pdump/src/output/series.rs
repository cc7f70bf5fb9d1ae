//! The files of a capture: one, or a series with numbers in their names, of which perhaps only the latest stay.
//!
//! ```text
//!   out.pcapng ─► out_00001_20261121123456.pcapng, out_00002_20261121123556.pcapng, …
//! ```

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::OutputError;
use super::compress::{Compression, Compressor};
use super::destination::{Destination, Owner};

/// When one file ends and the next begins, and how many stay. Whatever is reached first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// The file is open for so long.
    pub duration: Option<Duration>,
    /// The time of day is a multiple of so much.
    pub interval: Option<Duration>,
    /// It has so many bytes or more.
    pub length: Option<u64>,
    /// It has so many packets.
    pub packets: Option<u64>,
    /// The oldest goes when there would be more files than so many.
    pub files: Option<usize>,
}

/// When the files of a capture are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// The file has so many bytes or more. Of a series it ends the file, no more.
    pub length: Option<u64>,
    /// There were so many files.
    pub files: Option<u64>,
}

/// Where packets are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The file, or `-` for the standard output; of a series what its names are made of.
    pub path: PathBuf,
    /// How they are compressed, which names end with.
    pub compression: Option<Compression>,
    /// Whose they are.
    pub owner: Owner,
    /// A series.
    pub switch: Option<Switch>,
    /// When it is enough.
    pub stop: Stop,
}

impl Target {
    /// A file.
    pub fn file(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            ..Self::default()
        }
    }

    /// The directory that files are made in; `None`: none is.
    pub fn directory(&self) -> Option<&Path> {
        if self.is_stdout() {
            return None;
        }
        let parent = self.path.parent()?;
        Some(if parent == Path::new("") {
            Path::new(".")
        } else {
            parent
        })
    }

    fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// The name of a file of a series that begins now, or of the file.
    fn name(&self, number: u64, now: SystemTime) -> PathBuf {
        if self.is_stdout() {
            return self.path.clone();
        }
        let mut name = OsString::new();
        if self.switch.is_some() {
            name.push(self.path.file_stem().unwrap_or_default());
            name.push(format!("_{number:05}_{}", digits(now)));
            if let Some(extension) = self.path.extension() {
                name.push(".");
                name.push(extension);
            }
        } else {
            name.push(self.path.file_name().unwrap_or_default());
        }
        if let Some(compression) = self.compression {
            let ending = compression.extension();
            if Path::new(&name).extension().is_none_or(|has| has != ending) {
                name.push(".");
                name.push(ending);
            }
        }
        // A directory stays one, to be refused when it is opened.
        if name.is_empty() {
            self.path.clone()
        } else {
            self.path.with_file_name(name)
        }
    }
}

/// A time of day as names have it, in UTC: `20261121123456`.
fn digits(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The files of a capture, the first of which is open.
#[derive(Debug)]
pub struct Files {
    target: Target,
    first: Option<Destination>,
    /// The present one.
    path: PathBuf,
    number: u64,
    /// Those that stay, from the oldest on; of a ring only.
    kept: VecDeque<PathBuf>,
    /// When the present one was opened, and at which time of day it ends.
    opened: Instant,
    ends: Option<SystemTime>,
}

impl Files {
    /// Opens the first. What an existing one holds stays until the capture begins.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or not given to whom it is to be.
    pub fn open(target: Target) -> Result<Self, OutputError> {
        let mut files = Self {
            target,
            first: None,
            path: PathBuf::new(),
            number: 0,
            kept: VecDeque::new(),
            opened: Instant::now(),
            ends: None,
        };
        files.first = Some(files.next()?);
        Ok(files)
    }

    /// The present one.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn compressor(&self) -> io::Result<Option<Compressor>> {
        self.target.compression.map(Compressor::new).transpose()
    }

    /// The first; opened again if it was taken before.
    pub(crate) fn first(&mut self) -> Result<Destination, OutputError> {
        self.begin();
        match self.first.take() {
            Some(first) => Ok(first),
            None => self.next(),
        }
    }

    /// Opens the next, and removes the oldest if there are too many then.
    pub(super) fn next(&mut self) -> Result<Destination, OutputError> {
        let number = self.number + 1;
        let path = self.target.name(number, SystemTime::now());
        let destination = Destination::open(&path, self.target.owner)?;
        self.number = number;
        if let Some(files) = self.target.switch.and_then(|switch| switch.files) {
            self.kept.push_back(path.clone());
            // Behind that: if the next cannot be opened, the others stay.
            while self.kept.len() > files.max(1)
                && let Some(oldest) = self.kept.pop_front()
            {
                remove(&oldest)?;
            }
        }
        self.path = path;
        self.begin();
        Ok(destination)
    }

    /// The present one begins now.
    fn begin(&mut self) {
        self.opened = Instant::now();
        let interval = self.target.switch.and_then(|switch| switch.interval);
        self.ends = interval.map(|interval| next_multiple(SystemTime::now(), interval));
    }

    /// Whether a file that has so much is full.
    #[inline]
    pub(super) fn is_full(&self, length: u64, packets: u64) -> bool {
        let Target { switch, stop, .. } = &self.target;
        let reaches = |limit: Option<u64>, value| limit.is_some_and(|limit| value >= limit);
        reaches(stop.length, length)
            || switch.is_some_and(|switch| reaches(switch.length, length) || reaches(switch.packets, packets))
    }

    /// Whether the time of the present one is over.
    pub(super) fn is_over(&self) -> bool {
        let duration = self.target.switch.and_then(|switch| switch.duration);
        duration.is_some_and(|duration| self.opened.elapsed() >= duration)
            || self.ends.is_some_and(|ends| SystemTime::now() >= ends)
    }

    /// Whether none follows the present one.
    pub(super) fn is_last(&self) -> bool {
        self.target.switch.is_none() || self.target.stop.files.is_some_and(|files| self.number >= files)
    }
}

/// The first multiple of `interval` after `now`.
fn next_multiple(now: SystemTime, interval: Duration) -> SystemTime {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let interval = interval.as_nanos().max(1);
    let next = (since.as_nanos() / interval + 1) * interval;
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX))
}

fn remove(path: &Path) -> Result<(), OutputError> {
    match fs::remove_file(path) {
        // Somebody may have taken it away.
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OutputError::Oldest {
            name: path.display().to_string(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 12:34:56 UTC.
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_264_496)
    }

    #[test]
    fn files_of_a_series_have_number_and_time_before_their_ending() {
        let name = |path: &str, switch, compression| {
            let target = Target {
                switch,
                compression,
                ..Target::file(path.as_ref())
            };
            target.name(7, noon()).to_str().unwrap().to_owned()
        };
        let series = Some(Switch::default());
        assert_eq!(
            name("a/out.pcapng", series, None),
            "a/out_00007_20261121123456.pcapng"
        );
        assert_eq!(
            name("out", series, Some(Compression::Gzip)),
            "out_00007_20261121123456.gz"
        );
        assert_eq!(
            name("out.pcapng", None, Some(Compression::Zstd)),
            "out.pcapng.zst"
        );
        assert_eq!(
            name("out.pcapng.zst", None, Some(Compression::Zstd)),
            "out.pcapng.zst"
        );
        assert_eq!(name("-", None, Some(Compression::Zstd)), "-");
        assert_eq!(name("..", None, None), "..");
    }

    #[test]
    fn an_interval_ends_at_the_next_multiple_of_the_time_of_day() {
        let next = |seconds| digits(next_multiple(noon(), Duration::from_secs(seconds)));
        assert_eq!(
            [next(60), next(3600), next(1)],
            ["20261121123500", "20261121130000", "20261121123457"]
        );
        let exact = SystemTime::UNIX_EPOCH + Duration::from_secs(7200);
        assert_eq!(
            next_multiple(exact, Duration::from_secs(3600)),
            exact + Duration::from_secs(3600)
        );
    }
}
