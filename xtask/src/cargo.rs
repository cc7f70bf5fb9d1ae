//! Building with cargo, as the user who runs the command.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use ::tests::{Wait, binaries, run, run_shown};

use crate::{error::Error, progress::step};

/// A cold build with its bindings on a slow machine takes a quarter of this.
pub(crate) const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The cargo that runs us.
pub(crate) fn program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Our own program. Asked for first by `main`: once cargo has built it anew, the kernel calls this one deleted.
pub(crate) fn own_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::current_exe().unwrap_or_default())
}

/// The target folder, in which we were built: `target/<profile>/xtask`.
pub(crate) fn target() -> PathBuf {
    own_program()
        .ancestors()
        .nth(2)
        .map_or_else(|| workspace().join("target"), Path::to_owned)
}

/// Runs cargo with its output shown.
pub(crate) fn show(words: &[&str]) -> Result<(), Error> {
    show_program(&program(), words)
}

/// Runs `program` in the workspace with its output shown.
pub(crate) fn show_program(program: &Path, words: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(words).current_dir(workspace());
    Ok(run_shown(command, Wait::Interruptible(BUILD_LIMIT))?)
}

/// Runs cargo and returns what it prints on stdout.
pub(crate) fn capture(words: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(program());
    command.args(words).current_dir(workspace());
    Ok(run(command, Wait::Interruptible(BUILD_LIMIT))?.success()?.stdout)
}

/// Builds the programs of `packages` for release, and lets the topology builder find them.
pub(crate) fn build_programs(packages: &[&str]) -> Result<(), Error> {
    let mut words = vec!["build", "--release", "--bins"];
    words.extend(packages.iter().flat_map(|package| ["-p", *package]));
    step!("building: cargo {} (minutes the first time)", words.join(" "));
    show(&words)?;
    binaries::are_in(&programs());
    Ok(())
}

/// Builds all programs, the example that instructions are counted of and the one that decides for a relay in one go: apart, cargo
/// would build much of it twice, with other features of what it rests on.
pub(crate) fn build_all_and_examples() -> Result<(), Error> {
    let examples = ["--example", "path_cost", "--example", "ra_policy"];
    let words = [&["build", "--release", "--bins"][..], &examples].concat();
    step!("building: cargo {} (minutes the first time)", words.join(" "));
    show(&words)?;
    binaries::are_in(&programs());
    Ok(())
}

/// Runs an example of a package, built for release, and returns what it prints on stdout.
pub(crate) fn example(package: &str, name: &str) -> Result<String, Error> {
    capture(&["run", "--release", "--quiet", "-p", package, "--example", name])
}

/// The folder of the programs that [`build_programs`] builds.
pub(crate) fn programs() -> PathBuf {
    target().join("release")
}
