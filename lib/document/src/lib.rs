//! Configuration files: TOML walked key by key, so that all that is wrong with a file is found at once, each fault with its place.
//!
//! ```
//! use std::path::Path;
//!
//! use document::Document;
//!
//! let document = Document::new(Path::new("blue.toml"), "[instance]\nnaem = \"blue\"");
//! let read = document.read_with(|root| {
//!     let instance = root.section("instance", "[instance]");
//!     let name = instance.string("name").map(|name| name.value.to_owned());
//!     instance.finish();
//!     root.finish();
//!     name
//! });
//! let errors = read.unwrap_err().to_string();
//! assert_eq!(errors, "blue.toml:2:1: unknown key 'naem' in [instance]: did you mean 'name'?");
//! ```
#![forbid(unsafe_code)]

mod problem;
mod section;

use std::fs;
use std::path::Path;

pub use problem::{ConfigErrors, Place, Problem};
pub use section::{At, Document, KeyPlace, Section, suggestion};

/// Has `read` read the text of a file.
///
/// # Errors
///
/// The file cannot be read, or what `read` has found.
pub fn load<T>(path: &Path, read: impl FnOnce(&str) -> Result<T, ConfigErrors>) -> Result<T, ConfigErrors> {
    match fs::read_to_string(path) {
        Ok(text) => read(&text),
        Err(error) => Err(ConfigErrors::unreadable(path, &error)),
    }
}
