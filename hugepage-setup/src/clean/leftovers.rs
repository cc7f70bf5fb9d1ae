//! Remains that no registry knows: of EAL primaries of any kind, and of instances whose run directory is gone.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use shm::{DiscoveryReader, OpenError, TableReader};

use super::Scene;
use super::eal::{self, Owner};
use super::instances::{Known, remove_segment};
use super::lock::take_file_lock;
use super::record::{Kind, Outcome, Records};
use crate::host::entries;

/// Removes what no live process has and no instance of this run directory owns.
pub(crate) fn remove(scene: &Scene, known: &[Known], records: &mut Records) {
    let of_live = known
        .iter()
        .filter(|instance| instance.alive)
        .filter_map(|instance| instance.description.as_ref());
    let mut live: HashSet<String> = of_live
        .map(|description| description.file_prefix.clone())
        .collect();
    match eal::live_prefixes(scene.host) {
        Ok(prefixes) => live.extend(prefixes),
        // Without knowing who lives nothing is provably dead.
        Err(error) => {
            return records.add(
                Kind::EalDirectory,
                &scene.host.eal,
                None,
                Outcome::Failed(error.to_string()),
            );
        }
    }
    for huge_dir in &scene.huge_dirs {
        for file in entries(huge_dir).unwrap_or_default() {
            if !records.has(&file) && is_table_region(&file) {
                let outcome = remove_map_file(scene, &file, Owner::Anyone);
                records.add(Kind::TableRegion, &file, None, outcome);
            }
            if !records.has(&file) && prefix_of_map_file(&file).is_some_and(|prefix| !live.contains(prefix)) {
                records.add(
                    Kind::HugepageFile,
                    &file,
                    None,
                    remove_map_file(scene, &file, Owner::Anyone),
                );
            }
        }
    }
    for directory in entries(&scene.host.eal).unwrap_or_default() {
        let is_live = directory
            .file_name()
            .and_then(|name| name.to_str())
            .is_none_or(|name| live.contains(name));
        if !records.has(&directory) && !is_live {
            records.add(
                Kind::EalDirectory,
                &directory,
                None,
                eal::remove(scene, &directory, Owner::Anyone),
            );
        }
    }
    let registered: HashSet<String> = known.iter().map(Known::segment).collect();
    for file in entries(&scene.host.dev.join("shm")).unwrap_or_default() {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let segment = format!("/{name}");
        if name.starts_with("tollgate-")
            && !registered.contains(&segment)
            && is_dead_segment(scene, &file, &segment)
        {
            records.add(
                Kind::DiscoverySegment,
                &file,
                None,
                remove_segment(scene, &segment),
            );
        }
    }
}

/// Whether the file is the table region of a primary, of this build or another. Its primary locks it as EAL locks its
/// hugepage files, so the same proof of death serves.
fn is_table_region(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tables")
        && matches!(TableReader::open(path), Ok(_) | Err(OpenError::Layout { .. }))
}

/// The prefix in `<prefix>map_<number>`, EAL's name for its hugepage files.
fn prefix_of_map_file(path: &Path) -> Option<&str> {
    let (prefix, number) = path.file_name()?.to_str()?.rsplit_once("map_")?;
    (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(prefix)
}

/// Whether EAL made the file for this prefix.
pub(crate) fn is_map_file_of(path: &Path, prefix: &str) -> bool {
    prefix_of_map_file(path) == Some(prefix)
}

/// Removes a hugepage file that nobody locks, has open or has mapped.
pub(crate) fn remove_map_file(scene: &Scene, path: &Path, owner: Owner) -> Outcome {
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Outcome::Left,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let meta = match file.metadata() {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return Outcome::Left,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let holders = scene.holders.of(&meta);
    if !holders.is_empty() {
        return eal::held(scene, &holders, owner);
    }
    // EAL locks each file as long as it uses it, also from where this process cannot see who it is.
    let _lock = match take_file_lock(file) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Outcome::Left,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let still_there =
        fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (meta.dev(), meta.ino()));
    match if scene.dry_run || !still_there {
        Ok(())
    } else {
        fs::remove_file(path)
    } {
        Ok(()) if still_there => Outcome::Removed(meta.blocks() * 512),
        Ok(()) => Outcome::Left,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// A segment that says who wrote it, and that one is gone. What is no discovery page is somebody else's.
pub(super) fn is_dead_segment(scene: &Scene, path: &Path, name: &str) -> bool {
    let held = fs::symlink_metadata(path).is_ok_and(|meta| !scene.holders.of(&meta).is_empty());
    !held && DiscoveryReader::read(name).is_some_and(|page| !page.process.is_alive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_region_is_known_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tg-blue.tables");
        std::fs::write(&path, vec![0; 8192]).unwrap();
        assert!(!is_table_region(&path));
        let capacity = shm::Capacity {
            interfaces: 1,
            addresses: 1,
            routes4: 1,
            routes6: 1,
            next_hops: 1,
            neighbors: 1,
            workers: 1,
            pools: 1,
            sas: 4,
        };
        let writer = shm::TableWriter::create(&path, None, &capacity).unwrap();
        writer.publish();
        assert!(is_table_region(&path));
    }

    #[test]
    fn only_names_that_eal_makes_are_hugepage_files() {
        let prefix = |name: &'static str| prefix_of_map_file(Path::new(name));
        assert_eq!(prefix("/dev/hugepages/tg-bluemap_0"), Some("tg-blue"));
        assert_eq!(prefix("/dev/hugepages/map_map_12"), Some("map_"));
        for other in [
            "/dev/hugepages/tg-blue.tables",
            "/dev/hugepages/xmap_",
            "/dev/hugepages/xmap_1a",
            "/x/libvirt",
        ] {
            assert_eq!(prefix(other), None, "{other}");
        }
        assert!(!is_map_file_of(
            Path::new("/dev/hugepages/tg-blue2map_0"),
            "tg-blue"
        ));
    }
}
