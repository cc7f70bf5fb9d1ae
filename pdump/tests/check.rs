//! `--check`, which all tools share, against a primary that answers hellos and nothing else.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use control::instance::RunDir;
use control::message::{ControlError, ErrorCode};
use control::server::Server;
use nix::poll::{PollTimeout, poll};

/// Exit status, stdout and stderr.
fn pdump(run_dir: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-pdump"));
    command
        .args(words)
        .env_remove("TOLLGATE_INSTANCE")
        .env("TOLLGATE_RUN_DIR", run_dir);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn it_says_whether_it_could_attach() {
    let place = tempfile::tempdir().unwrap();
    let run_dir = place.path().join("run");
    let lock = RunDir::new(&run_dir)
        .instance(&"blue".parse().unwrap())
        .claim()
        .unwrap();
    let mut server = Server::bind(lock.directory(), None).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let mut descriptors = Vec::new();
                server.descriptors(&mut descriptors);
                poll(&mut descriptors, PollTimeout::from(5u8)).unwrap();
                drop(descriptors);
                server.serve(|_, _, _| {
                    Err(ControlError::new(ErrorCode::BadRequest, "no more than a hello")).into()
                });
            }
        });
        let ready = format!("instance blue: ready ({})\n", control::VERSION);
        let asked =
            [["--check"].as_slice(), &["--check", "--instance", "blue"]].map(|words| pdump(&run_dir, words));
        done.store(true, Ordering::Release);
        assert_eq!(
            asked,
            [(0, ready.clone(), String::new()), (0, ready, String::new())]
        );
    });
    let (status, _, said) = pdump(&run_dir, &["--check", "--instance", "red"]);
    assert_eq!(status, 1);
    assert!(said.starts_with("error: there is no instance 'red'"), "{said}");
}

#[test]
fn several_instances_must_be_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let run_dir = RunDir::new(&place.path().join("run"));
    let _locks = ["blue", "green"].map(|name| run_dir.instance(&name.parse().unwrap()).claim().unwrap());
    let (status, _, said) = pdump(run_dir.path(), &["--check"]);
    assert_eq!(status, 2);
    assert!(said.contains("(blue, green)"), "{said}");
}
