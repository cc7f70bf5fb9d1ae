//! Writes down which DPDK the suite is built for, so that tools that link none of it can say so in `--version`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let probed = pkg_config::Config::new().cargo_metadata(false).probe("libdpdk");
    match probed {
        Ok(library) => println!("cargo::rustc-env=TOLLGATE_DPDK_VERSION={}", library.version),
        Err(_) => {
            println!(
                "cargo::error=pkg-config finds no libdpdk: install the Debian packages libdpdk-dev and pkg-config"
            );
        }
    }
}
