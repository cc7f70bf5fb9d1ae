//! Where the programs of the suite are.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::Error;

/// The environment variable that names the folder of the built programs.
pub const BIN_DIR_VARIABLE: &str = "TOLLGATE_BIN_DIR";

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Names the folder of the built programs for this process, in place of the environment. The first call counts.
pub fn are_in(folder: &Path) {
    FOLDER.get_or_init(|| folder.to_owned());
}

/// The path of the program `name` of the suite: in the folder of [`are_in`], in TOLLGATE_BIN_DIR, else beside the running program.
///
/// # Errors
/// It has not been built there.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let folder = FOLDER
        .get()
        .cloned()
        .or_else(|| env::var_os(BIN_DIR_VARIABLE).map(PathBuf::from))
        .unwrap_or_else(|| beside(&env::current_exe().unwrap_or_default()));
    let program = folder.join(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(Error::MissingBinary {
            name: name.to_owned(),
            folder,
        })
    }
}

/// Cargo puts programs into `target/<profile>` and test executables into `target/<profile>/deps`.
fn beside(executable: &Path) -> PathBuf {
    let folder = executable.parent().unwrap_or(Path::new("."));
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder).to_owned(),
        _ => folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_executable_looks_one_folder_up() {
        assert_eq!(
            beside(Path::new("/c/target/release/deps/forwarding-1f")),
            Path::new("/c/target/release")
        );
        assert_eq!(
            beside(Path::new("/c/target/debug/xtask")),
            Path::new("/c/target/debug")
        );
    }

    #[test]
    fn a_program_that_was_not_built_is_named_with_the_way_to_build_it() {
        let error = find("tollgate-nonesuch").unwrap_err().to_string();
        assert!(
            error.contains("tollgate-nonesuch") && error.contains("cargo build --release --bins"),
            "{error}"
        );
    }
}
