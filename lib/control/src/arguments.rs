//! The arguments that every tool has in common, so that they read the same everywhere.

use std::path::PathBuf;

use crate::instance::{InstanceName, RunDir};

/// Which instance a tool means.
#[derive(Clone, Debug, clap::Args)]
pub struct InstanceArguments {
    /// Name of the instance
    #[arg(
        long,
        short = 'I',
        env = "TOLLGATE_INSTANCE",
        value_name = "NAME",
        global = true
    )]
    pub instance: Option<InstanceName>,

    /// Where instances keep their lock, socket and description
    #[arg(long, env = "TOLLGATE_RUN_DIR", value_name = "DIR", default_value = RunDir::DEFAULT, global = true)]
    pub run_dir: PathBuf,
}

impl InstanceArguments {
    /// The directory of all instances.
    pub fn run_dir(&self) -> RunDir {
        RunDir::new(&self.run_dir)
    }
}
