//! DPDK's `l3fwd`, the router among its examples: fetched with Debian's documentation package of the installed version, which has the
//! sources of the examples, and built into the target folder against the installed DPDK.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ::tests::{Wait, run};

use super::write;
use crate::{cargo, error::Error, progress::step};

/// A package of ten megabytes, and a compiler run of seconds.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// Where the package has the examples.
const EXAMPLES: &str = "usr/share/dpdk/examples";

/// Its rules, in the folder of the bench.
pub(super) const RULES4: &str = "l3fwd4.rules";
pub(super) const RULES6: &str = "l3fwd6.rules";
/// It wants a rule for IPv6 as well.
pub(super) const ONE_RULE6: &str = "R2001:db8:0:0:0:0:0:0/32 1\n";

/// What must be changed for 10,000 routes and for devices that check no checksums: file, what is there, what is put in its place. Its
/// lookups stay as they are.
const CHANGES: [(&str, &str, &str); 3] = [
    (
        "l3fwd_lpm.c",
        "IPV4_L3FWD_LPM_MAX_RULES         1024",
        "IPV4_L3FWD_LPM_MAX_RULES 65536",
    ),
    (
        "l3fwd_lpm.c",
        "IPV4_L3FWD_LPM_NUMBER_TBL8S (1 << 8)",
        "IPV4_L3FWD_LPM_NUMBER_TBL8S (1 << 15)",
    ),
    (
        "main.c",
        ".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM",
        ".offloads = 0",
    ),
];

/// The program, built if it is not there yet; or a sentence that says why it cannot be had, which is no reason to measure nothing.
pub(super) fn provide() -> Result<PathBuf, String> {
    let version = installed().map_err(|error| refusal(&error))?;
    let folder = cargo::target().join("l3fwd").join(&version);
    let program = folder.join("l3fwd");
    if !program.is_file() {
        step!("fetching and building DPDK's l3fwd {version}");
        build(&folder, &program, &version).map_err(|error| refusal(&error))?;
    }
    Ok(program)
}

fn refusal(error: &Error) -> String {
    format!("l3fwd could not be had and is left out: {error}")
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

fn build(folder: &Path, program: &Path, version: &str) -> Result<(), Error> {
    let unpacked = folder.join("package");
    fs::create_dir_all(&unpacked).map_err(|source| Error::File {
        action: "make",
        path: unpacked.clone(),
        source,
    })?;
    output(
        &["apt-get", "-q", "download", &format!("dpdk-doc={version}")],
        folder,
    )?;
    let package = packages(folder)?;
    output(
        &["dpkg-deb", "--extract", &package.to_string_lossy(), "package"],
        folder,
    )?;
    let examples = unpacked.join(EXAMPLES);
    let sources = examples.join("l3fwd");
    for (file, there, instead) in CHANGES {
        let path = sources.join(file);
        let text = read(&path)?;
        if !text.contains(there) {
            return Err(Error::Unexpected(format!(
                "{} has no `{there}`: this version of l3fwd is not known",
                path.display()
            )));
        }
        write(&path, &text.replace(there, instead))?;
    }
    let flags = |which| output(&["pkg-config", which, "libdpdk"], folder);
    let (compiling, linking) = (flags("--cflags")?, flags("--libs")?);
    let common = format!("-I{}", examples.join("common").display());
    // As its Makefile has it.
    let mut words = vec!["cc", "-O3", "-DALLOW_EXPERIMENTAL_API", &common];
    words.extend(compiling.split_whitespace());
    let makefile = read(&sources.join("Makefile"))?;
    words.extend(sources_of(&makefile));
    // Under its name only once it is whole.
    words.extend(["-o", "l3fwd.new"]);
    words.extend(linking.split_whitespace());
    output(&words, &sources)?;
    fs::rename(sources.join("l3fwd.new"), program).map_err(|source| Error::File {
        action: "make",
        path: program.to_owned(),
        source,
    })
}

/// The source files that a Makefile of DPDK's examples names.
fn sources_of(makefile: &str) -> impl Iterator<Item = &str> {
    let lines = makefile.lines().filter(|line| line.starts_with("SRCS-y"));
    lines.flat_map(|line| line.split_whitespace().filter(|word| word.ends_with(".c")))
}

/// The package that was fetched into the folder.
fn packages(folder: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages = entries.map(|entry| entry.path());
    let found = packages.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.ok_or_else(|| Error::Unexpected(format!("apt-get left no package in {}", folder.display())))
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
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder);
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
