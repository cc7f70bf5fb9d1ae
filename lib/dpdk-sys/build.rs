//! Finds DPDK by pkg-config, generates the bindings from its headers, compiles the wrappers of its inline functions
//! and links the few libraries that hold what the bindings name.

#[path = "build/bindings.rs"]
mod bindings;
#[path = "build/libdpdk.rs"]
mod libdpdk;

use std::path::PathBuf;

use libdpdk::Libdpdk;

fn main() {
    if let Err(reason) = build() {
        println!("cargo::error={reason}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=c");

    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this by cargo")?);
    let dpdk = Libdpdk::find()?;
    let wrappers = bindings::generate(&dpdk, &out_dir)?;

    let mut compiler = cc::Build::new();
    compiler
        .file(wrappers)
        .file("c/capture_reply.c")
        .include(".")
        .warnings(false)
        .opt_level(3);
    for flag in &dpdk.cflags {
        compiler.flag(flag);
    }
    compiler.try_compile("dpdk_wrappers").map_err(|error| {
        format!("the C wrappers of DPDK's inline functions do not compile ({error}): install gcc or clang")
    })?;

    dpdk.link();
    println!("cargo::rustc-env=DPDK_VERSION={}", dpdk.version);
    // Dependents with a build script of their own read this as DEP_DPDK_VERSION.
    println!("cargo::metadata=version={}", dpdk.version);
    Ok(())
}
