//! The tables of a living instance, opened for reading.

use std::io;

use shm::{DiscoveryReader, OpenError, TableReader};

use crate::VERSION;
use crate::client;
use crate::instance::{InstanceDir, RegistryError};
use crate::message::{ControlError, ErrorCode};

/// Opens the tables of an instance. Those of a dead primary are refused: they say how things were.
///
/// # Errors
///
/// There is no such instance, it is dead, starting or ending, of another build, or may not be looked at.
pub fn open(directory: &InstanceDir) -> Result<TableReader, ControlError> {
    let name = directory.name();
    if !directory.is_alive()? {
        return Err(if directory.exists() {
            client::dead(directory)
        } else {
            client::unknown(directory)
        });
    }
    let starting = || {
        ControlError::new(
            ErrorCode::NoAnswer,
            format!("the primary of '{name}' has no tables now: it is starting or ending; try again"),
        )
    };
    let description = directory.description()?.ok_or_else(starting)?;
    // A primary that starts where another died has not replaced the dead one's description yet.
    if DiscoveryReader::read(&description.segment).is_some_and(|page| page.process != description.process()) {
        return Err(starting());
    }
    let reader = TableReader::open(&description.tables).map_err(|error| match error {
        OpenError::NotReady { .. } => starting(),
        OpenError::Layout { .. } => ControlError::new(
            ErrorCode::VersionMismatch,
            format!(
                "the primary of '{name}' is {}, this tool is {VERSION}: {error}",
                description.version
            ),
        ),
        error @ OpenError::Damaged { .. } => ControlError::new(ErrorCode::Failed, error.to_string()),
        OpenError::Io { source, path } => match source.kind() {
            io::ErrorKind::NotFound => starting(),
            io::ErrorKind::PermissionDenied => RegistryError::Permission { path }.into(),
            _ => ControlError::new(ErrorCode::Failed, OpenError::Io { source, path }.to_string()),
        },
    })?;
    if reader.writer() != description.process() {
        return Err(starting());
    }
    Ok(reader)
}
