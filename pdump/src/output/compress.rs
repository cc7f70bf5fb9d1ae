//! Compression of what is written. Each part that is written is a whole gzip member (RFC 1952 section 2.2) or zstd frame (RFC 8878
//! section 3): readers take one after another, and a file is complete whenever a part of it has been written.

use std::io::{self, Write};

use flate2::write::GzEncoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// zstd: faster, and smaller.
    Zstd,
    /// gzip: everybody reads it.
    Gzip,
}

/// The fastest of gzip's levels, and the first of zstd's that is not a trade of size for speed: a capture has to keep up.
const LEVEL: u32 = 1;

impl Compression {
    /// What names of its files end with, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }
}

/// Compresses part by part into memory that it keeps.
pub(crate) struct Compressor {
    way: Way,
    part: Vec<u8>,
}

enum Way {
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    Gzip,
}

impl Compressor {
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let way = match compression {
            Compression::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(LEVEL.cast_signed())?;
                // A part that was damaged later is seen as such, as in gzip.
                compressor.include_checksum(true)?;
                Way::Zstd(Box::new(compressor))
            }
            Compression::Gzip => Way::Gzip,
        };
        Ok(Self {
            way,
            part: Vec::new(),
        })
    }

    /// Bytes as a part of their own, which is there until the next call.
    pub(crate) fn part(&mut self, bytes: &[u8]) -> io::Result<&[u8]> {
        self.part.clear();
        match &mut self.way {
            Way::Zstd(compressor) => {
                self.part.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                compressor.compress_to_buffer(bytes, &mut self.part)?;
            }
            Way::Gzip => {
                let mut encoder = GzEncoder::new(&mut self.part, flate2::Compression::new(LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
        }
        Ok(&self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn parts_one_after_another_are_read_as_what_was_put_in() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let mut compressor = Compressor::new(compression).unwrap();
            let (mut whole, mut file) = (Vec::new(), Vec::new());
            for length in [1usize, 300_000, 0, 77] {
                let bytes: Vec<u8> = (0..length).map(|at| (at / 100 % 251) as u8).collect();
                let part = compressor.part(&bytes).unwrap();
                assert!(
                    length < 1000 || part.len() < length / 4,
                    "{compression:?}: {}",
                    part.len()
                );
                file.extend_from_slice(part);
                whole.extend_from_slice(&bytes);
            }
            let mut read = Vec::new();
            match compression {
                Compression::Zstd => zstd::stream::Decoder::new(&file[..])
                    .unwrap()
                    .read_to_end(&mut read)
                    .unwrap(),
                Compression::Gzip => flate2::read::MultiGzDecoder::new(&file[..])
                    .read_to_end(&mut read)
                    .unwrap(),
            };
            assert!(read == whole, "{compression:?}");
        }
    }
}
