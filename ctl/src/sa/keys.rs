//! Keys of an SA, from a file that nobody else may read, or from stdin. Every buffer that they go through is wiped, and from when they
//! are read on no core dump is made of this process, nor may others of its user look into it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use control::message::{ErrorCode, SaKeys};
use nix::errno::Errno;
use nix::sys::prctl;
use shm::keys::KEY_BYTES;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest file, bytes: twice as many digits as keys have bytes, and as much again for blanks.
const LONGEST: usize = 4 * KEY_BYTES;
/// From so many digits on, a word that names no file is taken for keys.
const DIGITS_OF_KEYS: usize = 32;

/// Reads keys: hex digits, with blanks between bytes if that is wanted. `-` is stdin.
pub(super) fn read(path: &Path) -> Result<SaKeys, Failure> {
    let name = path.display();
    let unreadable = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
            io::ErrorKind::NotFound => ErrorCode::NotFound,
            _ => ErrorCode::Failed,
        };
        Failure::refused(code, format!("cannot read the keys in {name}: {error}"))
    };
    let text = if path == Path::new("-") {
        contents(io::stdin()).map_err(unreadable)
    } else {
        let file = match File::open(path) {
            // What is no file may be the keys themselves: those are not repeated.
            Err(_) if are_digits(path) => return Err(on_the_command_line()),
            opened => opened.map_err(unreadable)?,
        };
        let metadata = file.metadata().map_err(unreadable)?;
        // Whose it is does not matter: who may read it has chosen to.
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            let sentence = format!(
                "the keys in {name} are not secret: its mode {mode:04o} lets others at it; make new ones in a file of mode 0600"
            );
            return Err(Failure::refused(ErrorCode::PermissionDenied, sentence));
        }
        contents(file).map_err(unreadable)
    };
    let name = if path == Path::new("-") {
        "on stdin".to_owned()
    } else {
        format!("in {name}")
    };
    decode(&text?)
        .map(SaKeys::new)
        .map_err(|fault| Failure::refused(ErrorCode::Invalid, format!("the keys {name} cannot be: {fault}")))
}

fn are_digits(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.len() >= DIGITS_OF_KEYS && bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'x')
}

fn on_the_command_line() -> Failure {
    Failure::Usage(
        "keys on the command line are seen by all users of the host: make others, and write them into a file that is named \
         instead, or '-' for stdin"
            .to_owned(),
    )
}

/// All that there is to read, at most one byte more than the longest. Not by a buffered reader, whose buffer nobody wipes.
fn contents(from: impl AsFd) -> io::Result<Zeroizing<Vec<u8>>> {
    // Not before the file is open: /dev/stdin and such could not be opened any more, unless by root.
    prctl::set_dumpable(false)?;
    let mut text = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    while length < text.len() {
        match nix::unistd::read(&from, &mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    text.truncate(length);
    Ok(text)
}

/// What is wrong with keys, without a word of what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum KeyTextError {
    #[error("they are longer than any; write at most {KEY_BYTES} bytes as hex digits")]
    Long,
    #[error("there are none; write them as hex digits")]
    None,
    #[error("what stands at byte {0} is no hex digit; write two of them for each byte, and nothing else")]
    Digit(usize),
    #[error("a hex digit is left over; write two of them for each byte")]
    Odd,
}

/// The bytes that pairs of hex digits say.
fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyTextError> {
    if text.len() > LONGEST {
        return Err(KeyTextError::Long);
    }
    let skipped = if text.starts_with(b"0x") { 2 } else { 0 };
    // As long as it will ever be: one that grew would leave keys where it was before.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST / 2));
    let mut high = None;
    for (at, byte) in text.iter().enumerate().skip(skipped) {
        if byte.is_ascii_whitespace() && high.is_none() {
            continue;
        }
        let digit = char::from(*byte).to_digit(16).ok_or(KeyTextError::Digit(at))? as u8;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    match bytes.len() {
        _ if high.is_some() => Err(KeyTextError::Odd),
        0 => Err(KeyTextError::None),
        length if length > KEY_BYTES => Err(KeyTextError::Long),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn decoded(text: &str) -> Result<Vec<u8>, KeyTextError> {
        decode(text.as_bytes()).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn digits_are_bytes_and_nothing_else_is_repeated() {
        let expected = Ok(vec![0x0a, 0xff, 0x10]);
        for text in ["0aff10", "0x0aFF10\n", "0a ff\n10\n", " 0A\tff10 "] {
            assert_eq!(decoded(text), expected, "{text:?}");
        }
        for (text, error) in [
            ("", KeyTextError::None),
            ("0x", KeyTextError::None),
            ("0af", KeyTextError::Odd),
            ("0a f", KeyTextError::Odd),
            ("0a:ff", KeyTextError::Digit(2)),
            ("0 af", KeyTextError::Digit(1)),
            ("secret", KeyTextError::Digit(0)),
            ("00".repeat(97).as_str(), KeyTextError::Long),
            ("0 ".repeat(400).as_str(), KeyTextError::Long),
        ] {
            assert_eq!(decoded(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_come_back_from_their_digits(bytes in prop::collection::vec(any::<u8>(), 1..=KEY_BYTES)) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(decoded(&text), Ok(bytes));
        }

        #[test]
        fn any_text_is_keys_or_is_refused(text in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(bytes) = decode(&text) {
                prop_assert!(!bytes.is_empty() && bytes.len() <= KEY_BYTES);
            }
        }
    }

    #[test]
    fn only_files_that_nobody_else_may_use_have_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.key");
        std::fs::write(&path, "00112233\n").unwrap();
        let refusal = |mode| {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(&path).map_err(|failure| failure.to_string())
        };
        let keys = refusal(0o600).unwrap();
        assert_eq!(keys.bytes(), [0x00, 0x11, 0x22, 0x33]);
        refusal(0o400).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            let said = refusal(mode).unwrap_err();
            let expected = format!("are not secret: its mode {mode:04o} lets others at it");
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn who_has_read_keys_leaves_no_core_dump() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.key");
        std::fs::write(&path, "00112233").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        read(&path).unwrap();
        assert!(!prctl::get_dumpable().unwrap());
    }

    #[test]
    fn keys_on_the_command_line_are_not_repeated() {
        let said = read(Path::new(&"0123456789abcdef".repeat(2)))
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("keys on the command line are seen by all"),
            "{said}"
        );
        let said = read(Path::new("in.key")).unwrap_err().to_string();
        assert!(said.starts_with("cannot read the keys in in.key: "), "{said}");
    }
}
