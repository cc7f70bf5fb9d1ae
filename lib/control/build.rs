//! Writes down which DPDK the suite is built for, so that tools that link none of it can say so in `--version`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let probed = pkg_config::Config::new().cargo_metadata(false).probe("libdpdk");
    let version = probed.map_or_else(|_| without(), |library| library.version);
    println!("cargo::rustc-env=TOLLGATE_DPDK_VERSION={version}");
}

/// Where there is no DPDK yet. What has to link it says what to install; `cargo xtask`, which installs it, is built before and knows
/// messages too.
fn without() -> String {
    // Cargo asks again at each build while a file is not there, and this one never is.
    println!("cargo::rerun-if-changed=build/dpdk-has-come");
    "not known".to_owned()
}
