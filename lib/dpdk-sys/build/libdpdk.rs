//! The installed DPDK: version, compiler flags, libraries.

use std::process::Command;

/// The oldest release whose names and structures the bindings fit (year, month).
const OLDEST: (u32, u32) = (22, 11);

/// The libraries that define what `c/wrapper.h` uses. Drivers are not among them: EAL loads those itself from its
/// plugin directory, and each library left out here is one less to load at start. Releases before 24.03 have the
/// log in rte_eal and no rte_log.
const LIBRARIES: [&str; 9] = [
    "rte_bpf",
    "rte_cryptodev",
    "rte_eal",
    "rte_ethdev",
    "rte_log",
    "rte_mbuf",
    "rte_mempool",
    "rte_pdump",
    "rte_ring",
];

/// What pkg-config says of libdpdk.
pub struct Libdpdk {
    /// Such as "22.11.11".
    pub version: String,
    /// All of them, `-include rte_config.h` and `-march` too: layouts and inline code depend on these.
    pub cflags: Vec<String>,
    link_flags: Vec<String>,
}

impl Libdpdk {
    pub fn find() -> Result<Self, String> {
        for name in [
            "PKG_CONFIG",
            "PKG_CONFIG_PATH",
            "PKG_CONFIG_LIBDIR",
            "PKG_CONFIG_SYSROOT_DIR",
        ] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        let version = pkg_config("--modversion")?;
        let release = release_of(&version).ok_or_else(|| {
            format!("pkg-config gives libdpdk the version \"{version}\", which is not YY.MM")
        })?;
        if release < OLDEST {
            return Err(format!(
                "DPDK {version} is installed, but {}.{:02} or later is needed: upgrade the package libdpdk-dev",
                OLDEST.0, OLDEST.1
            ));
        }
        Ok(Self {
            version,
            cflags: words(&pkg_config("--cflags")?),
            link_flags: words(&pkg_config("--libs")?),
        })
    }

    /// Tells cargo what to link: of the hundred libraries that pkg-config lists, those that are called.
    pub fn link(&self) {
        for flag in &self.link_flags {
            if let Some(directory) = flag.strip_prefix("-L") {
                println!("cargo::rustc-link-search=native={directory}");
            }
        }
        for library in LIBRARIES {
            if self
                .link_flags
                .iter()
                .any(|flag| flag.strip_prefix("-l") == Some(library))
            {
                println!("cargo::rustc-link-lib=dylib={library}");
            }
        }
    }
}

fn pkg_config(query: &str) -> Result<String, String> {
    let program = std::env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args([query, "libdpdk"])
        .output()
        .map_err(|error| {
            format!("{program} cannot be run ({error}): install the packages pkg-config and libdpdk-dev")
        })?;
    if !output.status.success() {
        return Err(format!(
            "DPDK is not installed, or {program} does not find its libdpdk.pc: install the package libdpdk-dev"
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn release_of(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn words(flags: &str) -> Vec<String> {
    flags.split_whitespace().map(str::to_owned).collect()
}
