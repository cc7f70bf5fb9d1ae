//! Prepares a host for DPDK and cleans up after dead instances.
//!
//! ```text
//!   arguments ──► reserve, release ──► pool (sysfs) · proof (map and touch) · persist (/etc)
//!                 mount, umount ─────► mounting · mounts (/proc/mounts)
//!                 show ──────────────► pool · users (/proc/PID/numa_maps) · mounts · persist
//!                 clean ─────────────► clean: instances, leftovers · holders (/proc/PID/{fd,maps})
//!                 doctor ────────────► doctor: memory, cpu, vfio, NICs · a configuration to start with
//! ```

#![forbid(unsafe_code)]

mod arguments;
mod clean;
mod doctor;
mod error;
mod holders;
mod host;
mod manual;
mod mounting;
mod mounts;
mod numa_maps;
mod output;
mod persist;
mod pool;
mod progress;
mod proof;
mod release;
mod reserve;
mod show;
mod size;
mod users;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use control::instance::RunDir;

use arguments::{Arguments, Command};
use error::Error;
use host::Host;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate-hugepage-setup: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let host = Host::this();
    let run_dir = RunDir::new(&arguments.run_dir);
    match arguments.command {
        Command::Reserve(arguments) => {
            if !arguments.dry_run {
                need_root("reserving huge pages")?;
            }
            let wanted = reserve::Reservation {
                size: arguments.size,
                pages: arguments.pages,
                node: arguments.node,
                persist: arguments.persist,
                dry_run: arguments.dry_run,
            };
            reserve::run(&host, wanted)
        }
        Command::Release(arguments) => {
            if !arguments.dry_run {
                need_root("releasing huge pages")?;
            }
            let wanted = release::Release {
                size: arguments.size,
                pages: arguments.pages,
                node: arguments.node,
                dry_run: arguments.dry_run,
            };
            release::run(&host, &run_dir, wanted)
        }
        Command::Mount(arguments) => {
            need_root("mounting huge pages")?;
            let path = arguments.path.as_deref().map(plain);
            mounting::mount(&host, arguments.size, path.as_deref(), arguments.group.as_deref())
        }
        Command::Umount(arguments) => {
            need_root("unmounting huge pages")?;
            mounting::umount(&host, &run_dir, arguments.path.as_deref().map(plain).as_deref())
        }
        Command::Show(arguments) => show::run(&host, &run_dir, arguments.json),
        Command::Clean(arguments) => {
            need_root("telling dead instances from live ones, and removing what they left,")?;
            clean::run(&host, &run_dir, arguments.dry_run, arguments.json)
        }
        Command::Doctor(arguments) => doctor::run(&host, arguments.device.as_deref(), arguments.json),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { command } => manual::page(command.as_deref()),
    }
}

fn need_root(what: &'static str) -> Result<(), Error> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot { what })
    }
}

/// A path as the table of mounts has it.
fn plain(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf())
}
