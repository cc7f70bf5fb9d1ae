//! Which instance a tool means when nobody named one: the only one that runs.

use crate::arguments::InstanceArguments;
use crate::client::dead;
use crate::instance::{InstanceDir, RegistryError};
use crate::message::{ControlError, ErrorCode};

/// Why no instance was chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// More than one runs: a matter of wrong usage.
    #[error("several instances run in {run_dir}: say which one with --instance ({names})")]
    Several {
        /// Where they run.
        run_dir: String,
        /// Their names, with commas between.
        names: String,
    },
    /// None runs, or the caller may not look.
    #[error(transparent)]
    Refused(#[from] ControlError),
}

impl InstanceArguments {
    /// The instance that was named, or else the only one that runs. A named one is not looked at here: it may be dead
    /// or unknown.
    pub fn choose(&self) -> Result<InstanceDir, ChooseError> {
        let run_dir = self.run_dir();
        if let Some(name) = &self.instance {
            return Ok(run_dir.instance(name));
        }
        let place = run_dir.path().display().to_string();
        let mut alive = Vec::new();
        let mut rest = Vec::new();
        for directory in run_dir.instances().map_err(ControlError::from)? {
            match directory.is_alive() {
                Ok(true) => alive.push(directory),
                Ok(false) => rest.push(dead(&directory)),
                Err(error @ RegistryError::Permission { .. }) => rest.insert(0, error.into()),
                Err(error) => rest.push(error.into()),
            }
        }
        if alive.len() > 1 {
            let names: Vec<_> = alive.iter().map(|directory| directory.name().as_str()).collect();
            return Err(ChooseError::Several {
                run_dir: place,
                names: names.join(", "),
            });
        }
        let nothing = || {
            ControlError::new(
                ErrorCode::UnknownInstance,
                format!(
                    "no instance runs in {place}: start 'tollgate-primary', or name another place with --run-dir"
                ),
            )
        };
        // The first refusal tells more than that nothing runs: who is dead, or who may not be looked at.
        alive
            .pop()
            .ok_or_else(|| rest.into_iter().next().unwrap_or_else(nothing).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{InstanceLock, RunDir};

    fn claim(run_dir: &RunDir, name: &str) -> InstanceLock {
        run_dir.instance(&name.parse().unwrap()).claim().unwrap()
    }

    #[test]
    fn the_only_one_that_runs_is_taken_and_two_are_asked_about() {
        let place = tempfile::tempdir().unwrap();
        let arguments = InstanceArguments {
            instance: None,
            run_dir: place.path().join("run"),
        };
        let code = |outcome: Result<InstanceDir, ChooseError>| match outcome.err() {
            Some(ChooseError::Refused(error)) => error.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(arguments.choose()), ErrorCode::UnknownInstance);

        let run_dir = arguments.run_dir();
        let blue = claim(&run_dir, "blue");
        std::fs::create_dir(run_dir.path().join("dead")).unwrap();
        assert_eq!(arguments.choose().unwrap().name().as_str(), "blue");

        let green = claim(&run_dir, "green");
        let message = arguments.choose().err().unwrap().to_string();
        assert!(message.contains("blue, green"), "{message}");

        drop((blue, green));
        assert_eq!(code(arguments.choose()), ErrorCode::InstanceDead);
    }

    #[test]
    fn a_named_one_is_taken_as_named() {
        let arguments = InstanceArguments {
            instance: Some("red".parse().unwrap()),
            run_dir: "/nowhere".into(),
        };
        assert_eq!(arguments.choose().unwrap().name().as_str(), "red");
    }
}
