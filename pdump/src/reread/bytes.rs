//! The bytes of a file that is read back, as they were before compression.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

/// How often to look whether the tool is to end, in milliseconds.
const LOOK: u8 = 100;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What a pcapng file begins with: the type of a section header, the same in both byte orders.
pub(super) const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Where bytes come from.
pub(super) type Bytes = Box<dyn Read>;

/// Opens a file, `-` for the standard input.
pub(super) fn open(path: &Path, stopped: &Arc<AtomicBool>) -> io::Result<Bytes> {
    let file = if path == Path::new("-") {
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let stopped = Arc::clone(stopped);
    Ok(Box::new(Patient { file, stopped }))
}

/// Waits for bytes of a pipe no longer than until somebody ends the tool.
struct Patient {
    file: File,
    stopped: Arc<AtomicBool>,
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut descriptors = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut descriptors, LOOK) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return self.file.read(bytes),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The bytes of a file as they were before compression, and the first of them once more.
pub(super) fn plain(bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut bytes = BufReader::with_capacity(1 << 16, bytes);
    let begin = begin(&mut bytes)?;
    let unpacked: Bytes = if begin.starts_with(&GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(bytes))
    } else if begin.starts_with(&ZSTD) {
        Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?)
    } else {
        return Ok((begin, Box::new(bytes)));
    };
    let mut unpacked = BufReader::with_capacity(1 << 16, unpacked);
    Ok((self::begin(&mut unpacked)?, Box::new(unpacked)))
}

fn begin(bytes: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let begin = bytes.fill_buf()?;
    Ok(begin.get(..4).unwrap_or(begin).to_vec())
}

/// The four magic numbers of pcap: micro- and nanoseconds, in both byte orders.
pub(super) fn is_pcap(begin: &[u8]) -> bool {
    let magics = [0xa1b2_c3d4_u32, 0xa1b2_3c4d];
    magics
        .iter()
        .any(|magic| begin == magic.to_be_bytes() || begin == magic.to_le_bytes())
}
