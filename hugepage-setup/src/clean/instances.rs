//! The remains of dead instances that the registry knows.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use control::instance::{Description, InstanceDir, RegistryError, RunDir};

use super::Scene;
use super::eal::{self, Owner};
use super::leftovers::{is_map_file_of, remove_map_file};
use super::record::{Kind, Outcome, Records};
use crate::error::Error;
use crate::host::entries;

/// An instance of the registry.
pub(crate) struct Known {
    directory: InstanceDir,
    /// What it said of itself, if that can be read.
    pub(crate) description: Option<Description>,
    /// Whether a primary holds its lock, or may hold it.
    pub(crate) alive: bool,
}

impl Known {
    /// The name of its discovery segment.
    pub(crate) fn segment(&self) -> String {
        self.description.as_ref().map_or_else(
            || self.directory.segment(),
            |description| description.segment.clone(),
        )
    }
}

/// All instances of the registry. One whose lock cannot be looked at counts as alive.
pub(crate) fn look(run_dir: &RunDir) -> Result<Vec<Known>, Error> {
    let known = run_dir.instances()?.into_iter().map(|directory| {
        let alive = directory.is_alive().unwrap_or(true);
        // A description that is none says nothing about what to remove: then only the directory is known.
        Known {
            description: directory.description().unwrap_or(None),
            alive,
            directory,
        }
    });
    Ok(known.collect())
}

/// Removes what the dead ones left, and their places in the registry.
pub(crate) fn remove_dead(scene: &Scene, known: &[Known], records: &mut Records) {
    for instance in known.iter().filter(|instance| !instance.alive) {
        remove_one(scene, instance, known, records);
    }
}

fn remove_one(scene: &Scene, instance: &Known, known: &[Known], records: &mut Records) {
    let path = instance.directory.path();
    let name = Some(instance.directory.name());
    let bytes = size_of_directory(path);
    // Held until the end of this function, and its end removes the directory.
    let lock = match scene.dry_run {
        true => None,
        false => match instance.directory.claim() {
            Ok(lock) => Some(lock),
            Err(RegistryError::Running { .. }) => return,
            Err(error) => {
                return records.add(
                    Kind::InstanceDirectory,
                    path,
                    name,
                    Outcome::Failed(error.to_string()),
                );
            }
        },
    };
    if let Some(description) = &instance.description {
        let used_by_live = |path: &Path| {
            known.iter().any(|other| {
                other.alive
                    && other
                        .description
                        .as_ref()
                        .is_some_and(|theirs| theirs.tables == path)
            })
        };
        if !used_by_live(&description.tables) {
            let outcome = remove_tables(scene, &description.tables);
            records.add(Kind::TableRegion, &description.tables, name, outcome);
        }
        remove_eal(scene, instance, description, records);
    }
    let segment = instance.segment();
    records.add(
        Kind::DiscoverySegment,
        &segment_path(scene, &segment),
        name,
        remove_segment(scene, &segment),
    );
    drop(lock);
    // A primary that waited for the lock may have made it anew.
    let gone = scene.dry_run || !path.exists() || instance.directory.is_alive().unwrap_or(false);
    let outcome = match gone {
        true => Outcome::Removed(bytes),
        false => Outcome::Failed("not all that is in it could be removed".to_owned()),
    };
    records.add(Kind::InstanceDirectory, path, name, outcome);
}

fn remove_eal(scene: &Scene, instance: &Known, description: &Description, records: &mut Records) {
    let name = Some(instance.directory.name());
    let prefix = description.file_prefix.as_str();
    if prefix.is_empty() || prefix.contains('/') || prefix.starts_with('.') {
        return;
    }
    // The files first: as long as the directory is there, so is the lock that a primary of this prefix would take.
    // Unless one has it, under another run directory.
    if eal::live_prefixes(scene.host).is_ok_and(|live| live.iter().any(|other| other == prefix)) {
        return;
    }
    for file in entries(&description.huge_dir).unwrap_or_default() {
        if is_map_file_of(&file, prefix) {
            records.add(
                Kind::HugepageFile,
                &file,
                name,
                remove_map_file(scene, &file, Owner::Ours),
            );
        }
    }
    let directory = scene.host.eal.join(prefix);
    records.add(
        Kind::EalDirectory,
        &directory,
        name,
        eal::remove(scene, &directory, Owner::Ours),
    );
}

/// The region of a dead instance goes even if a tool still reads it: the tool keeps what it mapped.
fn remove_tables(scene: &Scene, path: &Path) -> Outcome {
    if let Ok(reader) = shm::TableReader::open(path)
        && reader.writer().is_alive()
    {
        return Outcome::Left;
    }
    remove_file(scene, path)
}

/// Removes a plain file and says what it held.
pub(crate) fn remove_file(scene: &Scene, path: &Path) -> Outcome {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => meta,
        Err(error) if error.kind() != ErrorKind::NotFound => return Outcome::Failed(error.to_string()),
        _ => return Outcome::Left,
    };
    let bytes = meta.blocks() * 512;
    match if scene.dry_run {
        Ok(())
    } else {
        fs::remove_file(path)
    } {
        Ok(()) => Outcome::Removed(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Left,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The file that is the POSIX segment `name`; shm_overview(7).
fn segment_path(scene: &Scene, name: &str) -> PathBuf {
    scene.host.dev.join("shm").join(name.trim_start_matches('/'))
}

/// Removes a discovery segment, whatever is in it.
pub(crate) fn remove_segment(scene: &Scene, name: &str) -> Outcome {
    let file = name.trim_start_matches('/');
    if file.is_empty() || file.contains('/') {
        return Outcome::Left;
    }
    remove_file(scene, &segment_path(scene, name))
}

fn size_of_directory(path: &Path) -> u64 {
    let inside = entries(path).unwrap_or_default();
    let found = inside
        .iter()
        .filter_map(|file| Some((file, fs::symlink_metadata(file).ok()?)));
    found
        .map(|(file, meta)| {
            if meta.is_dir() {
                size_of_directory(file)
            } else {
                meta.blocks() * 512
            }
        })
        .sum()
}
