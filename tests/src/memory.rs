//! Where in the memory of a process some bytes are, and whether a core dump or the swap would have them: proc(5), smaps and mem. And whether
//! a core dump has them.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Privilege, Wait, binaries, run};

/// To look through some hundred megabytes takes about a second.
const SEARCH_LIMIT: Duration = Duration::from_secs(120);
/// Memory is read by as much at a time.
const CHUNK: usize = 1 << 20;
/// Pages of zeros are passed over.
const PAGE: usize = 4096;
/// So many bytes are asked at a time whether the first byte of what is wanted is among them, which the standard library does fast.
const LINE: usize = 64;

/// A place where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The address.
    pub address: u64,
    /// The file that is mapped there; empty for memory of the process alone.
    pub file: String,
    /// Flags of the mapping: `dd` is not dumped, `lo` is locked.
    pub flags: Vec<String>,
}

/// Resident memory of a process, kB: proc(5), status.
///
/// # Errors
/// There is no such process, or what the kernel says is not understood.
pub fn resident(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    value
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no VmRSS in kB")))
}

/// Where `wanted` is in the memory of a process, by `tg-memory` with privilege.
///
/// # Errors
/// The program is not built, or cannot look into the process.
pub fn find(privilege: Privilege, pid: u32, wanted: &[u8]) -> Result<Vec<Found>, Error> {
    ask(privilege, &["process", &pid.to_string(), &hex(wanted)])
}

/// How often `wanted` is in a file, such as the core dump of a primary, by `tg-memory` with privilege.
///
/// # Errors
/// The program is not built, or cannot read the file.
pub fn times_in_file(privilege: Privilege, path: &Path, wanted: &[u8]) -> Result<usize, Error> {
    ask(privilege, &["file", &path.display().to_string(), &hex(wanted)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ask<T: DeserializeOwned>(privilege: Privilege, words: &[&str]) -> Result<T, Error> {
    let mut command = privilege.command(binaries::find("tg-memory")?);
    command.args(words);
    privilege.announce(&command, "looks for keys in the memory of the primary");
    let captured = run(command, Wait::Interruptible(SEARCH_LIMIT))?.success()?;
    serde_json::from_str(&captured.stdout).map_err(|source| Error::NotJson {
        command: captured.command,
        source,
        output: captured.stdout.clone(),
    })
}

/// A mapping of a process.
struct Mapping {
    from: u64,
    to: u64,
    readable: bool,
    file: String,
    flags: Vec<String>,
}

/// As [`find`], with the privilege that this process has.
///
/// # Errors
/// There is no such process, or it may not be looked into.
pub fn search(pid: u32, wanted: &[u8]) -> io::Result<Vec<Found>> {
    let mappings = mappings(&fs::read_to_string(format!("/proc/{pid}/smaps"))?);
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for mapping in mappings.iter().filter(|mapping| mapping.readable) {
        each_place(&memory, mapping.from..mapping.to, wanted, |address| {
            found.push(Found {
                address,
                file: mapping.file.clone(),
                flags: mapping.flags.clone(),
            });
        });
    }
    Ok(found)
}

/// As [`times_in_file`], with the privilege that this process has.
///
/// # Errors
/// The file cannot be read.
pub fn count_in_file(path: &Path, wanted: &[u8]) -> io::Result<usize> {
    let file = File::open(path)?;
    let mut count = 0;
    each_place(&file, 0..file.metadata()?.len(), wanted, |_| count += 1);
    Ok(count)
}

/// Each place of a file between two where the bytes are, as far as it can be read: some mappings of the kernel, and what went meanwhile,
/// cannot.
fn each_place(file: &File, range: Range<u64>, wanted: &[u8], mut found: impl FnMut(u64)) {
    // Each chunk has the end of the one before in front of it.
    let overlap = wanted.len().saturating_sub(1);
    let mut buffer = vec![0; overlap + CHUNK];
    let (mut at, mut kept) = (range.start, 0);
    while at < range.end {
        let length = CHUNK.min(usize::try_from(range.end - at).unwrap_or(CHUNK));
        if file.read_exact_at(&mut buffer[kept..kept + length], at).is_err() {
            break;
        }
        let bytes = &buffer[..kept + length];
        for place in places(bytes, wanted) {
            found(at - kept as u64 + place as u64);
        }
        at += length as u64;
        let end = bytes.len();
        let next = overlap.min(end);
        buffer.copy_within(end - next..end, 0);
        kept = next;
    }
}

fn places(bytes: &[u8], wanted: &[u8]) -> impl Iterator<Item = usize> {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let first = wanted.first().copied();
    let pages = bytes.chunks(PAGE).zip((0..).step_by(PAGE));
    pages
        .filter(|(page, _)| *page != &ZEROS[..page.len()])
        .flat_map(|(page, start)| page.chunks(LINE).zip((start..).step_by(LINE)))
        .filter(move |(line, _)| first.is_some_and(|first| line.contains(&first)))
        .flat_map(move |(line, start)| {
            let starts = line.iter().zip(start..);
            starts.filter_map(move |(byte, place)| (Some(*byte) == first).then_some(place))
        })
        .filter(move |place| bytes[*place..].starts_with(wanted))
}

fn mappings(smaps: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let range = words.first().and_then(|word| word.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        if let Some((Some(from), Some(to))) = range.map(|(from, to)| (number(from), number(to))) {
            mappings.push(Mapping {
                from,
                to,
                readable: words.get(1).is_some_and(|rights| rights.starts_with('r')),
                file: words.get(5..).unwrap_or_default().join(" "),
                flags: Vec::new(),
            });
        } else if let (Some(&"VmFlags:"), Some(mapping)) = (words.first(), mappings.last_mut()) {
            mapping.flags = words[1..].iter().map(|flag| (*flag).to_owned()).collect();
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_are_and_only_there() {
        let bytes = [[0; PAGE].as_slice(), b"..secret", &[0; PAGE - 10], b"secsecret"].concat();
        let found: Vec<_> = places(&bytes, b"secret").collect();
        assert_eq!(found, [PAGE + 2, 2 * PAGE + 1]);
        assert_eq!(places(&bytes, b"secrets").next(), None);
    }

    #[test]
    fn bytes_of_a_file_are_counted_across_its_chunks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 2 * CHUNK + 100];
        for at in [0, CHUNK - 3, 2 * CHUNK + 94] {
            bytes[at..at + 6].copy_from_slice(b"secret");
        }
        fs::write(file.path(), bytes).unwrap();
        assert_eq!(count_in_file(file.path(), b"secret").unwrap(), 3);
        assert_eq!(count_in_file(file.path(), b"secrets").unwrap(), 0);
    }

    #[test]
    fn what_this_process_has_is_found_in_it() {
        // Not as it stands in the program.
        let secret: Vec<u8> = (0..40).map(|byte: u8| byte.wrapping_mul(77) ^ 0x5a).collect();
        let found = search(std::process::id(), &secret).unwrap();
        let address = secret.as_ptr().addr() as u64;
        let here = found.iter().find(|found| found.address == address).unwrap();
        assert!(here.flags.iter().any(|flag| flag == "rd"), "{here:?}");
    }
}
