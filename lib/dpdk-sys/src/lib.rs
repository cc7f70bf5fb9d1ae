//! Bindings to the DPDK that pkg-config names, with C shims for its inline functions.
//!
//! Only `lib/dpdk` uses this crate; it gives everything here a safe face. What is bound is listed in
//! `build/bindings.rs`, what C has to help with is in `c/shim.h`. The layout of every structure is checked against
//! the headers when this crate is compiled.
#![no_std]

/// The DPDK release that the bindings were generated from, such as "22.11.11".
pub const VERSION: &str = env!("DPDK_VERSION");

pub use generated::*;

mod generated {
    // C's names, and code that nobody reads.
    #![allow(
        non_camel_case_types,
        non_snake_case,
        non_upper_case_globals,
        dead_code,
        clippy::all
    )]
    #![allow(clippy::undocumented_unsafe_blocks)]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
