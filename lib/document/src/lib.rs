//! Configuration files: TOML walked key by key, so that all that is wrong with a file is found at once, each fault with its place.
//!
//! ```
//! use std::path::Path;
//!
//! use document::{Document, Section};
//!
//! let document = Document::new(Path::new("blue.toml"), "[instance]\nnaem = \"blue\"");
//! let table = document.parse().unwrap();
//! let root = Section::root(&document, &table);
//! let instance = root.section("instance", "[instance]");
//! let name = instance.string("name");
//! instance.finish();
//! root.finish();
//! assert!(name.is_none());
//! let errors = document.into_errors().to_string();
//! assert_eq!(errors, "blue.toml:2:1: unknown key 'naem' in [instance]: did you mean 'name'?");
//! ```
#![forbid(unsafe_code)]

mod problem;
mod section;

pub use problem::{ConfigErrors, Place, Problem};
pub use section::{At, Document, KeyPlace, Section, suggestion};
