//! The Debian packages that the virtual machine of `test --vm` is made of: a kernel and busybox.
//!
//! They are fetched and unpacked below the target folder and never installed: a kernel that is installed changes what the host boots, and
//! busybox-static takes the place of busybox.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ::tests::{Wait, run, run_shown};

use crate::{cargo, error::Error, packages, progress::step, session};

/// The package that depends on the kernel of the day.
const NEWEST_KERNEL: &str = "linux-image-amd64";
const BUSYBOX: &str = "busybox-static";
/// A kernel of 70 MB by a slow network.
const FETCH_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The folder in which they are unpacked; they are fetched unless that kernel has been before.
pub(crate) fn unpacked() -> Result<PathBuf, Error> {
    let newest = match kernel() {
        Ok(kernel) => kernel,
        Err(_) => {
            packages::read_lists(session::privilege()?)?;
            kernel()?
        }
    };
    let folder = cargo::target().join("vm").join(&newest);
    if folder.exists() {
        return Ok(folder);
    }
    let packages = [newest.as_str(), BUSYBOX];
    step!(
        "fetching what the virtual machine is made of: {}",
        packages.join(", ")
    );
    let unfinished = cargo::target().join("vm").join(format!("{newest}.unfinished"));
    if fetch(&unfinished, &packages).is_err() {
        // The lists may name versions that the mirror has no more.
        packages::read_lists(session::privilege()?)?;
        fetch(&unfinished, &packages)?;
    }
    let moved = fs::rename(&unfinished, &folder);
    moved.map_err(|source| Error::File {
        action: "rename",
        path: unfinished,
        source,
    })?;
    Ok(folder)
}

/// The kernel of this version of Debian, as its lists have it.
fn kernel() -> Result<String, Error> {
    let mut command = Command::new("apt-cache");
    command.args(["depends", NEWEST_KERNEL]);
    let said = run(command, Wait::Interruptible(Duration::from_secs(60)))?.success()?;
    kernel_in(&said.stdout)
        .map(str::to_owned)
        .ok_or_else(|| Error::Unexpected(format!("{NEWEST_KERNEL} depends on no kernel: {}", said.stdout)))
}

fn kernel_in(dependencies: &str) -> Option<&str> {
    dependencies
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
}

fn fetch(folder: &Path, packages: &[&str]) -> Result<(), Error> {
    let failed = |action| {
        let path = folder.to_owned();
        move |source| Error::File { action, path, source }
    };
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
        _ => fs::create_dir_all(folder).map_err(failed("make"))?,
    }
    let mut download = Command::new("apt-get");
    // Root may write to the folder, the user that apt becomes for downloads may not.
    download
        .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(packages)
        .current_dir(folder);
    run_shown(download, Wait::Interruptible(FETCH_LIMIT))?;
    for entry in fs::read_dir(folder).map_err(failed("read"))? {
        let package = entry.map_err(failed("read"))?.path();
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(&package).arg(folder);
        run_shown(unpack, Wait::Interruptible(FETCH_LIMIT))?;
        fs::remove_file(&package).map_err(failed("remove packages from"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_what_the_newest_one_depends_on() {
        let said = "linux-image-amd64\n  PreDepends: dpkg\n  Depends: linux-image-6.12.1+deb13-amd64\n  Suggests: x\n";
        assert_eq!(kernel_in(said), Some("linux-image-6.12.1+deb13-amd64"));
        assert_eq!(kernel_in(""), None);
    }
}
