//! `cargo xtask lint`: format, clippy, and what cargo-deny has to say about dependencies and licences.

use std::{path::PathBuf, time::Duration};

use ::tests::{Privilege, Wait};

use crate::{
    cargo,
    error::Error,
    packages::{self, Needs},
    progress::{say, step},
};

/// The version that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";

/// Runs all three; the first that objects ends it.
pub(crate) fn run() -> Result<(), Error> {
    step!("format: cargo fmt --all --check");
    cargo::show(&["fmt", "--all", "--check"])?;
    // Clippy builds the bindings, so it needs what they are generated from.
    packages::install(Needs::Build)?;
    step!("clippy: warnings are errors");
    cargo::show(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    deny()?;
    say!("lint: no objections");
    Ok(())
}

/// cargo-deny looks at every platform's dependencies, so all of them have to be there; the check itself needs no network.
fn deny() -> Result<(), Error> {
    let program = cargo_deny()?;
    step!("dependencies and licences: cargo deny check bans licenses sources");
    cargo::show(&["fetch", "--locked"])?;
    cargo::show_program(
        &program,
        &[
            "--offline",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ],
    )
}

/// cargo-deny as installed, or installed into the target folder.
fn cargo_deny() -> Result<PathBuf, Error> {
    let root = cargo::target().join("tools");
    let own = root.join("bin/cargo-deny");
    for program in [PathBuf::from("cargo-deny"), own.clone()] {
        let mut command = Privilege::Direct.command(&program);
        command.arg("--version");
        let answer = ::tests::run(command, Wait::Interruptible(Duration::from_secs(30)));
        if answer.is_ok_and(|answer| answer.stdout.trim() == format!("cargo-deny {CARGO_DENY}")) {
            return Ok(program);
        }
    }
    step!(
        "installing cargo-deny {CARGO_DENY} into {} (about four minutes, once)",
        root.display()
    );
    let root = root.to_string_lossy();
    cargo::show(&[
        "install",
        "--locked",
        "--root",
        &root,
        "--version",
        CARGO_DENY,
        "cargo-deny",
    ])?;
    Ok(own)
}
