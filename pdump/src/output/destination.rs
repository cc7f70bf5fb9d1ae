//! The file or pipe at the end. What is left in a file is whole blocks, whatever happens.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::OutputError;
use super::buffer::BlockEnd;

/// Packets are no business of others.
const MODE: u32 = 0o640;

/// Whose new files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user; `None`: who runs the tool.
    pub user: Option<u32>,
    /// The group, which may read them whatever the umask says; `None`: that of who runs the tool.
    pub group: Option<u32>,
}

/// An open file or pipe.
#[derive(Debug)]
pub(crate) struct Destination {
    file: File,
    name: String,
    /// What can be cut back.
    is_regular: bool,
    /// Bytes of whole blocks in it.
    length: u64,
    /// The file, as long as it is new and nothing was captured: then it goes away again.
    unused: Option<PathBuf>,
}

/// Blocks that could not be written.
#[derive(Debug)]
pub(super) struct Failed {
    /// Packets that were, and stay.
    pub(super) packets: u64,
    pub(super) source: io::Error,
}

impl Failed {
    /// It failed before anything was written.
    pub(super) fn nothing(source: io::Error) -> Self {
        Self { packets: 0, source }
    }
}

impl Destination {
    /// Opens the file, or the standard output if `path` is `-`. What an existing file holds stays until
    /// [`Destination::begin`].
    pub(super) fn open(path: &Path, owner: Owner) -> Result<Self, OutputError> {
        let is_stdout = path == Path::new("-");
        let name = if is_stdout {
            "the standard output".to_owned()
        } else {
            path.display().to_string()
        };
        let opened = if is_stdout {
            let descriptor = io::stdout().as_fd().try_clone_to_owned();
            descriptor.map(|descriptor| (File::from(descriptor), None))
        } else {
            open_file(path)
        };
        let (file, unused) = opened.map_err(|source| match source.kind() {
            io::ErrorKind::IsADirectory => OutputError::Directory { name: name.clone() },
            _ => OutputError::Open {
                name: name.clone(),
                source,
            },
        })?;
        // The shell opened the standard output, and may have written to it before (or append to it).
        let is_regular = !is_stdout && file.metadata().is_ok_and(|about| about.is_file());
        let destination = Self {
            file,
            name,
            is_regular,
            length: 0,
            unused,
        };
        if is_regular {
            destination.give(owner)?;
        }
        Ok(destination)
    }

    fn give(&self, owner: Owner) -> Result<(), OutputError> {
        let failed = |source| OutputError::Owner {
            name: self.name.clone(),
            source,
        };
        if owner.group.is_some() {
            let readable = self.file.set_permissions(Permissions::from_mode(MODE));
            readable.map_err(failed)?;
        }
        if owner != Owner::default() {
            fchown(&self.file, owner.user, owner.group).map_err(failed)?;
        }
        Ok(())
    }

    /// How to call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of whole blocks in it.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Empties the file: from here on it belongs to this capture.
    pub(super) fn begin(&mut self) -> Result<(), OutputError> {
        if self.is_regular {
            self.file.set_len(0).map_err(|source| OutputError::Open {
                name: self.name.clone(),
                source,
            })?;
        }
        self.unused = None;
        Ok(())
    }

    /// Whether the file can still be found, with the packets that are in it.
    pub(super) fn check(&self, packets: u64) -> Result<(), OutputError> {
        if self.is_regular && self.file.metadata().is_ok_and(|about| about.nlink() == 0) {
            return Err(OutputError::Removed {
                name: self.name.clone(),
                packets,
            });
        }
        Ok(())
    }

    /// Writes blocks, all of them or those that there is room for. On failure nothing of the others stays in a file.
    pub(super) fn write(&mut self, bytes: &[u8], blocks: &[BlockEnd]) -> Result<(), Failed> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..)
            && !rest.is_empty()
        {
            let source = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(more) => {
                    done += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let whole = || blocks.iter().take_while(|block| block.end <= done);
            self.length += whole().last().map_or(0, |block| block.end as u64);
            if self.is_regular {
                // If even that fails, there is a part of a block at the end, which readers pass over with a warning.
                drop(self.file.set_len(self.length));
            }
            return Err(Failed {
                packets: whole().map(|block| block.packets).sum(),
                source,
            });
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some(path) = &self.unused {
            drop(fs::remove_file(path));
        }
    }
}

/// The file, and its path if it was not there before.
fn open_file(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    let mut options = OpenOptions::new();
    options.write(true).mode(MODE);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, Some(path.to_path_buf()))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // To be emptied when there is something to put into it.
            let file = options.create(true).truncate(false).open(path)?;
            Ok((file, None))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.pcapng");
        (directory, path)
    }

    fn open(path: &Path) -> Result<Destination, OutputError> {
        Destination::open(path, Owner::default())
    }

    #[test]
    fn a_file_keeps_its_content_until_the_capture_begins() {
        let (_guard, path) = place();
        fs::write(&path, "precious").unwrap();
        drop(open(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let mut destination = open(&path).unwrap();
        destination.begin().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        drop(destination);
        assert!(path.exists());
    }

    #[test]
    fn a_new_file_is_the_group_s_to_read_and_gone_if_nothing_was_captured() {
        let (_guard, path) = place();
        let destination = open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & !MODE & 0o777, 0, "{mode:o}");
        drop(destination);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_for_a_group_can_be_read_by_it_whatever_the_umask() {
        let (_guard, path) = place();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let group = Some(fs::metadata(&path).unwrap().gid());
        let owner = Owner { user: None, group };
        drop(Destination::open(&path, owner).unwrap());
        let about = fs::metadata(&path).unwrap();
        assert_eq!((about.mode() & 0o777, Some(about.gid())), (MODE, group));
    }

    #[test]
    fn a_directory_and_a_path_that_leads_nowhere_are_refused_in_a_sentence() {
        let (guard, _) = place();
        let error = open(guard.path()).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
        let error = open(&guard.path().join("no/file")).unwrap_err().to_string();
        assert!(
            error.contains("cannot open") && error.contains("No such file"),
            "{error}"
        );
    }
}
