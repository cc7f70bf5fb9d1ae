//! Texts that are too long for a message: in memory of their own whose descriptor goes with one, memfd_create(2).
//!
//! The memory is sealed before it is handed over, so who receives it reads what was sent, however long that takes.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The longest text, bytes: some two million routes.
pub const MAX_TEXT: u64 = 256 << 20;

const NAME: &CStr = c"tollgate-text";

/// Why a text was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The kernel refused.
    #[error("a text cannot be handed over: {0}; try again")]
    Io(#[from] io::Error),
    /// Whoever sent it could still change it.
    #[error("the text that was sent can still be changed: use tools of the primary's build")]
    Open,
    /// Over [`MAX_TEXT`].
    #[error("the text has {0} bytes and {MAX_TEXT} are taken: make it shorter")]
    TooLong(u64),
    /// Not UTF-8.
    #[error("the text is not UTF-8: write it in UTF-8")]
    Encoding,
}

/// What keeps memory as it is.
pub(crate) fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE
}

/// A text that nobody can change any more, to be sent.
pub fn sealed(text: &[u8]) -> Result<OwnedFd, TextError> {
    if text.len() as u64 > MAX_TEXT {
        return Err(TextError::TooLong(text.len() as u64));
    }
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(NAME, flags).map_err(io::Error::from)?);
    file.write_all(text)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals())).map_err(io::Error::from)?;
    Ok(file.into())
}

/// The text that came with a message. Only sealed memory is read: a pipe would make the reader wait.
pub fn read(descriptor: OwnedFd) -> Result<String, TextError> {
    // Anything else than such memory knows of no seals.
    let found = fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_| TextError::Open)?;
    if !SealFlag::from_bits_truncate(found).contains(seals()) {
        return Err(TextError::Open);
    }
    let mut file = File::from(descriptor);
    let length = file.metadata()?.len();
    if length > MAX_TEXT {
        return Err(TextError::TooLong(length));
    }
    file.rewind()?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| TextError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_as_it_was_sent_and_can_be_read_twice() {
        let sent = sealed("prefix = \"10.0.0.0/8\" # ü".as_bytes()).unwrap();
        let again = sent.try_clone().unwrap();
        assert_eq!(read(sent).unwrap(), "prefix = \"10.0.0.0/8\" # ü");
        assert_eq!(read(again).unwrap(), "prefix = \"10.0.0.0/8\" # ü");
    }

    #[test]
    fn what_could_still_change_or_make_the_reader_wait_is_not_read() {
        let open = memfd_create(NAME, MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(matches!(read(open), Err(TextError::Open)));
        let (pipe, _write) = nix::unistd::pipe().unwrap();
        assert!(matches!(read(pipe), Err(TextError::Open)));
        assert!(matches!(
            read(tempfile::tempfile().unwrap().into()),
            Err(TextError::Open)
        ));
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        assert!(matches!(read(sealed(&[0xff]).unwrap()), Err(TextError::Encoding)));
    }
}
