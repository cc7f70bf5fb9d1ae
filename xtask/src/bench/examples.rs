//! Programs among DPDK's examples: their sources come with Debian's documentation package of the installed version, and are built into
//! the target folder against the installed DPDK.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ::tests::{Wait, run};

use super::write;
use crate::{cargo, error::Error, progress::step};

/// A package of ten megabytes, and compiler runs of seconds.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// Where the package has the examples.
const EXAMPLES: &str = "usr/share/dpdk/examples";

/// One of them.
pub(super) struct Example {
    pub(super) name: &'static str,
    /// What must be changed before it does what is measured: file, what is there, what is put in its place.
    pub(super) changes: &'static [(&'static str, &'static str, &'static str)],
}

impl Example {
    /// The program, built if it is not there yet; or a sentence that says why it cannot be had, which is no reason to measure nothing.
    pub(super) fn provide(&self) -> Result<PathBuf, String> {
        self.try_provide()
            .map_err(|error| format!("{} could not be had and is left out: {error}", self.name))
    }

    fn try_provide(&self) -> Result<PathBuf, Error> {
        let version = installed()?;
        let folder = cargo::target().join("dpdk-examples").join(&version);
        let program = folder.join(self.name);
        if !program.is_file() {
            step!("fetching and building DPDK's {} {version}", self.name);
            let examples = fetch(&folder, &version)?;
            self.build(&examples, &program)?;
        }
        Ok(program)
    }

    fn build(&self, examples: &Path, program: &Path) -> Result<(), Error> {
        // Apart from the package, so that changes are made to what the package has.
        let sources = program.with_extension("src");
        remove(&sources)?;
        let original = examples.join(self.name);
        output(
            &[
                "cp",
                "--recursive",
                &original.to_string_lossy(),
                &sources.to_string_lossy(),
            ],
            examples,
        )?;
        for (file, there, instead) in self.changes {
            let path = sources.join(file);
            let text = read(&path)?;
            if !text.contains(there) {
                return Err(Error::Unexpected(format!(
                    "{} has no `{there}`: this version of {} is not known",
                    path.display(),
                    self.name
                )));
            }
            write(&path, &text.replace(there, instead))?;
        }
        let flags = |which| output(&["pkg-config", which, "libdpdk"], &sources);
        let (compiling, linking) = (flags("--cflags")?, flags("--libs")?);
        let common = format!("-I{}", examples.join("common").display());
        // As their Makefiles have it.
        let mut words = vec![
            "cc",
            "-O3",
            "-DALLOW_EXPERIMENTAL_API",
            "-Wno-address-of-packed-member",
            &common,
        ];
        words.extend(compiling.split_whitespace());
        let makefile = read(&sources.join("Makefile"))?;
        words.extend(sources_of(&makefile));
        // Under its name only once it is whole.
        words.extend(["-o", "program.new"]);
        words.extend(linking.split_whitespace());
        output(&words, &sources)?;
        fs::rename(sources.join("program.new"), program).map_err(|source| Error::File {
            action: "make",
            path: program.to_owned(),
            source,
        })
    }
}

/// The version of the installed DPDK's package.
fn installed() -> Result<String, Error> {
    let words = [
        "dpkg-query",
        "--show",
        "--showformat",
        "${Version}",
        "libdpdk-dev",
    ];
    Ok(output(&words, Path::new("/"))?.trim().to_owned())
}

/// The examples, fetched if they are not there yet.
fn fetch(folder: &Path, version: &str) -> Result<PathBuf, Error> {
    let unpacked = folder.join("package");
    let examples = unpacked.join(EXAMPLES);
    if examples.is_dir() {
        return Ok(examples);
    }
    fs::create_dir_all(folder).map_err(|source| Error::File {
        action: "make",
        path: folder.to_owned(),
        source,
    })?;
    output(
        &["apt-get", "-q", "download", &format!("dpdk-doc={version}")],
        folder,
    )?;
    let package = package_in(folder)?;
    // Under its name only once it is whole.
    let half = folder.join("package.new");
    remove(&half)?;
    output(
        &["dpkg-deb", "--extract", &package.to_string_lossy(), "package.new"],
        folder,
    )?;
    fs::rename(&half, &unpacked).map_err(|source| Error::File {
        action: "make",
        path: unpacked,
        source,
    })?;
    Ok(examples)
}

/// The source files that a Makefile of DPDK's examples names.
fn sources_of(makefile: &str) -> impl Iterator<Item = &str> {
    let lines = makefile.lines().filter(|line| line.starts_with("SRCS-y"));
    lines.flat_map(|line| line.split_whitespace().filter(|word| word.ends_with(".c")))
}

/// The package that was fetched into the folder.
fn package_in(folder: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages = entries.map(|entry| entry.path());
    let found = packages.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.ok_or_else(|| Error::Unexpected(format!("apt-get left no package in {}", folder.display())))
}

/// Removes a folder that an earlier run may have left.
fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            action: "remove",
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// What a program prints that succeeds.
fn output(words: &[&str], folder: &Path) -> Result<String, Error> {
    let (program, words) = words
        .split_first()
        .ok_or_else(|| Error::Unexpected("a program without a name was to run".to_owned()))?;
    let mut command = Command::new(program);
    command.args(words).current_dir(folder);
    Ok(run(command, Wait::Interruptible(LIMIT))?.success()?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_those_of_the_makefile() {
        let makefile = "APP = l3fwd\nSRCS-y := main.c l3fwd_lpm.c\nSRCS-y += l3fwd_event.c\nCFLAGS += -O3\n";
        assert_eq!(
            sources_of(makefile).collect::<Vec<_>>(),
            ["main.c", "l3fwd_lpm.c", "l3fwd_event.c"]
        );
    }
}
