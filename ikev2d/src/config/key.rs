//! Pre-shared keys: from files that nobody else may read, as text or hex digits. They are shown nowhere, and wiped when they go.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ikev2::crypto::{Secret, equal};
use zeroize::Zeroizing;

/// The longest file, bytes.
const LONGEST: usize = 1024;

/// A key that both ends know.
#[derive(Clone)]
pub struct Psk(Zeroizing<Vec<u8>>);

impl Psk {
    /// For the engine.
    pub(super) fn secret(&self) -> Secret {
        Secret::from(self.0.clone())
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Psk {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Psk {}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(..)")
    }
}

/// Reads a file that nobody else may read, of so many bytes at most.
pub(super) fn read_secret(path: &Path, longest: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let name = path.display();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "cannot read the key in {name}: {error}; give it to the user that the daemon is, which has no rights over files of others, root or \
             not"
        ),
        _ => format!("cannot read the key in {name}: {error}"),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "the key in {name} is not secret: its mode {mode:04o} lets others at it; make a new one in a file of mode 0600"
        ));
    }
    // Not by a buffered reader, whose buffer nobody wipes.
    let mut text = Zeroizing::new(vec![0; longest + 1]);
    let mut length = 0;
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if length > longest {
        return Err(format!(
            "the key in {name} is longer than {longest} bytes: make a shorter one"
        ));
    }
    text.truncate(length);
    Ok(text)
}

/// Reads a key: the bytes of the file but for the end of its last line, or the hex digits behind `0x`.
pub(super) fn read(path: &Path) -> Result<Psk, String> {
    let name = path.display();
    let text = read_secret(path, LONGEST)?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let bytes = match text.strip_prefix(b"0x") {
        None => Some(Zeroizing::new(text.to_vec())),
        Some(digits) => hex(digits),
    };
    match bytes {
        Some(bytes) if bytes.is_empty() => Err(format!("the file {name} is empty: write the key into it")),
        Some(bytes) => Ok(Psk(bytes)),
        None => Err(format!(
            "the key in {name} begins with 0x and has something else than pairs of hex digits behind that: write them, or other text"
        )),
    }
}

/// The bytes that pairs of hex digits say.
pub(super) fn hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // As long as it will ever be: one that grew would leave the key where it was before.
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    let (pairs, rest) = digits.as_chunks::<2>();
    for [high, low] in pairs {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push((digit(high)? << 4 | digit(low)?) as u8);
    }
    rest.is_empty().then_some(bytes)
}
