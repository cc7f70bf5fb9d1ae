//! `tg-fuzz`: a target under libFuzzer, if it was built for that, or over files.
//!
//! Built with `--cfg fuzzing`, as `cargo xtask fuzz` does, libFuzzer has the command line, so that the environment says the
//! rest: TOLLGATE_FUZZ_TARGET names the target (none: they are listed), TOLLGATE_FUZZ_SEEDS a folder for its seeds.

#![forbid(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzer {
    use std::sync::OnceLock;
    use std::{env, fs, process};

    use fuzz::{TARGETS, Target, target};
    use libfuzzer_sys::fuzz_target;

    static TARGET: OnceLock<&Target> = OnceLock::new();

    fuzz_target!(init: choose(), |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.body)(bytes);
        }
    });

    fn choose() {
        let Some(chosen) = env::var("TOLLGATE_FUZZ_TARGET")
            .ok()
            .and_then(|name| target(&name))
        else {
            for target in TARGETS {
                println!("{}", target.name);
            }
            process::exit(0);
        };
        if let Some(folder) = env::var_os("TOLLGATE_FUZZ_SEEDS") {
            for (number, seed) in (chosen.seeds)().iter().enumerate() {
                let path = std::path::Path::new(&folder).join(format!("seed-{number:04}"));
                if let Err(error) = fs::write(&path, seed) {
                    eprintln!("cannot write {}: {error}", path.display());
                    process::exit(1);
                }
            }
            process::exit(0);
        }
        TARGET.get_or_init(|| chosen);
    }
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = fuzz::target(&name.to_string_lossy()) else {
        let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "tg-fuzz TARGET FILE...: runs a target over files, such as one that a fuzzer left; targets: {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    };
    for path in arguments {
        match std::fs::read(&path) {
            Ok(bytes) => (target.body)(&bytes),
            Err(error) => {
                eprintln!("cannot read {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
        println!("{}: nothing wrong", path.display());
    }
    ExitCode::SUCCESS
}
