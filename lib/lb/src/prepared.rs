//! A [`Config`] with all tables that a worker looks things up in: made where memory may be taken, handed to the worker.

use std::sync::Arc;

use crate::config::Config;

/// What one worker works by. Each worker gets one of its own.
#[derive(Clone, Debug)]
pub struct Prepared {
    config: Arc<Config>,
}

impl Prepared {
    /// For one of so many workers. Clones of it, for the others, cost less than making each anew.
    pub fn new(config: Arc<Config>, _workers: usize) -> Self {
        Self { config }
    }

    /// What it was made of.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}
