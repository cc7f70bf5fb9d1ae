//! `clean`: removes what provably dead instances and EAL primaries left, and never anything of a live one.
//!
//! ```text
//!   what                              is dead when
//!   /run/tollgate/<instance>          nobody holds its lock: taken here, and held while the rest is removed
//!     table region, discovery page    its instance is dead
//!   /var/run/dpdk/<prefix>            nobody locks its config, no socket in it has an owner, nobody holds a file of it;
//!                                     without a config only if its instance is dead
//!   <hugetlbfs>/<prefix>map_N         the prefix is not alive, nobody locks the file, nobody has it open or mapped
//!   /dev/shm/tollgate-*               no instance here has it, its writer is gone, nobody has it open or mapped
//! ```
//!
//! All of it happens under the claims lock of the run directory: a primary takes its turn there before it starts EAL, so
//! none of this run directory is half started. Every other proof is made anew right before a thing is removed, and
//! locks are held meanwhile wherever EAL would take them.

mod eal;
mod instances;
mod leftovers;
mod lock;
mod record;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use control::instance::RunDir;

use crate::error::Error;
use crate::holders::Holders;
use crate::host::{Host, entries};
use crate::mounts;
use crate::output::say;
use crate::size::Bytes;
use record::{Record, Records};

/// Removes the remains, or says what it would remove.
pub(crate) fn run(host: &Host, run_dir: &RunDir, dry_run: bool, json: bool) -> Result<(), Error> {
    let records = clean(host, run_dir, dry_run)?;
    for (record, error) in records
        .iter()
        .filter_map(|record| Some((record, record.error.as_ref()?)))
    {
        eprintln!(
            "tollgate-hugepage-setup: cannot remove {} {}: {error}",
            record.kind.title(),
            record.path.display()
        );
    }
    if json {
        say!("{}", serde_json::to_string_pretty(&records).unwrap_or_default());
    } else {
        say!("{}", sentences(&records, dry_run).trim_end());
    }
    match records.iter().filter(|record| record.error.is_some()).count() {
        0 => Ok(()),
        count => Err(Error::Remains { count }),
    }
}

fn sentences(records: &[Record], dry_run: bool) -> String {
    if records.is_empty() {
        return "nothing to clean\n".to_owned();
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    let gone = || records.iter().filter(|record| record.error.is_none());
    let mut text: String = gone()
        .map(|record| {
            let of = record
                .instance
                .as_ref()
                .map_or_else(String::new, |name| format!(" of instance {name}"));
            let bytes = Bytes(record.bytes);
            format!(
                "{verb} {}{of}: {} ({bytes})\n",
                record.kind.title(),
                record.path.display()
            )
        })
        .collect();
    let freed = Bytes(gone().map(|record| record.bytes).sum());
    text.push_str(&if dry_run {
        format!("would free {freed}\n")
    } else {
        format!("freed {freed}\n")
    });
    text
}

/// What every step of a clean looks at.
struct Scene<'a> {
    host: &'a Host,
    dry_run: bool,
    /// Where huge pages are mounted, and where instances say they are.
    huge_dirs: BTreeSet<PathBuf>,
    /// Who holds files on the devices of all that may be removed.
    holders: Holders,
}

fn clean(host: &Host, run_dir: &RunDir, dry_run: bool) -> Result<Vec<Record>, Error> {
    // A dry run leaves no trace, so it takes no lock and may be out of date when it is printed.
    let guard = if dry_run { None } else { Some(run_dir.claims()?) };
    let known = instances::look(run_dir)?;
    let mut huge_dirs: BTreeSet<_> = mounts::huge(host)?.into_iter().map(|mount| mount.path).collect();
    huge_dirs.extend(
        known
            .iter()
            .filter_map(|instance| Some(instance.description.as_ref()?.huge_dir.clone())),
    );
    let holders = Holders::scan(host, &devices(host, &huge_dirs)?)?;
    let scene = Scene {
        host,
        dry_run,
        huge_dirs,
        holders,
    };
    let mut records = Records::default();
    instances::remove_dead(&scene, &known, &mut records);
    leftovers::remove(&scene, &known, &mut records);
    drop(guard);
    if !dry_run {
        run_dir.remove_if_empty();
    }
    Ok(records.into_list())
}

/// The devices that the files in question are on.
fn devices(host: &Host, huge_dirs: &BTreeSet<PathBuf>) -> Result<HashSet<u64>, Error> {
    let shm = host.dev.join("shm");
    let eal = entries(&host.eal)?;
    let directories = huge_dirs
        .iter()
        .map(PathBuf::as_path)
        .chain(eal.iter().map(PathBuf::as_path))
        .chain([shm.as_path()]);
    Ok(directories.filter_map(device).collect())
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.dev())
}

#[cfg(test)]
mod tests;
