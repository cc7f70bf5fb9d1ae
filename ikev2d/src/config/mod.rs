//! The configuration file: peers, and what holds for all of them.
//!
//! ```toml
//! [[profile]]
//! name           = "pr1"
//! local_address  = "192.0.2.1"
//! remote_address = "198.51.100.1"
//! psk_file       = "pr1.psk"
//!
//! [[profile.child]]
//! tunnel    = "ipsec0"
//! local_ts  = ["192.168.5.0/24"]
//! remote_ts = ["192.168.3.0/24"]
//! ```

mod authentication;
mod child;
mod identity;
mod key;
mod names;
mod own_identity;
mod profile;
mod proposals;
mod selector;
mod settings;
#[cfg(test)]
mod tests;
mod time;

use std::collections::HashSet;
use std::path::Path;

use document::{ConfigErrors, Document, Section};
use ike_engine::{Profile, Settings};

use self::names::Names;

pub use authentication::{
    AuthConfig, AuthoritiesConfig, CertificateConfig, LocalAuthConfig, RemoteAuthConfig,
};
pub use child::ChildConfig;
pub use key::Psk;
pub use profile::ProfileConfig;

/// A configuration that has nothing wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Timeouts and limits.
    pub settings: Settings,
    /// Profiles in the order of the file; no two have the same name.
    pub profiles: Vec<ProfileConfig>,
    /// Addresses of the hosts that are named in it.
    names: Names,
}

impl Config {
    /// Reads a file, and those with keys that it names.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        load(path, Names::default())
    }

    /// Reads the file again, without looking names up: they keep their addresses, and one that is new is wrong.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_again(&self, path: &Path) -> Result<Self, ConfigErrors> {
        load(path, self.names.closed())
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn read(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        read(text, path, Names::default())
    }

    /// The profiles as the engine has them.
    pub fn engine_profiles(&self) -> Vec<Profile> {
        self.profiles.iter().map(ProfileConfig::engine).collect()
    }

    /// A profile.
    pub fn profile(&self, name: &str) -> Option<&ProfileConfig> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// Whether a child is for this tunnel.
    pub fn has_tunnel(&self, tunnel: &str) -> bool {
        let mut children = self.profiles.iter().flat_map(|profile| &profile.children);
        children.any(|child| child.tunnel == tunnel)
    }

    /// Profiles and children whose traffic these tunnels carry.
    pub fn of_tunnels<'c>(&'c self, tunnels: &'c [String]) -> impl Iterator<Item = (&'c str, &'c str)> {
        let tunnels: HashSet<&str> = tunnels.iter().map(String::as_str).collect();
        let children = self.profiles.iter().flat_map(|profile| {
            let name = profile.name.as_str();
            profile.children.iter().map(move |child| (name, child))
        });
        children
            .filter(move |(_, child)| tunnels.contains(child.tunnel.as_str()))
            .map(|(profile, child)| (profile, child.name.as_str()))
    }

    /// A child of a profile.
    pub fn child(&self, profile: &str, child: &str) -> Option<&ChildConfig> {
        let children = &self.profile(profile)?.children;
        children.iter().find(|known| known.name == child)
    }
}

fn load(path: &Path, names: Names) -> Result<Config, ConfigErrors> {
    document::load(path, |text| read(text, path, names))
}

fn read(text: &str, path: &Path, names: Names) -> Result<Config, ConfigErrors> {
    let folder = path.parent().unwrap_or(Path::new(""));
    Document::new(path, text).read_with(|root| Some(walk(root, folder, names)))
}

fn walk(root: Section<'_>, folder: &Path, names: Names) -> Config {
    let document = root.document;
    let mut config = Config {
        settings: settings::read(root.section("ike", "[ike]")),
        profiles: Vec::new(),
        names,
    };
    let sections = root.sections("profile", "[[profile]]");
    if sections.is_empty() {
        document.report_missing("there is no profile, so nobody would be let in: write [[profile]]");
    }
    let mut tunnels: Vec<String> = Vec::new();
    for section in sections {
        let place = section.place;
        let Some(profile) = profile::read(section, folder, &mut config.names) else {
            continue;
        };
        if config.profile(&profile.name).is_some() {
            let name = &profile.name;
            let sentence = format!("there is a profile '{name}' already: give this one another name");
            document.report(place, sentence);
        }
        for child in &profile.children {
            if tunnels.contains(&child.tunnel) {
                let sentence = format!(
                    "another child has tunnel {} already, and all packets of a tunnel go by one SA: give this one a tunnel of its own",
                    child.tunnel
                );
                document.report(place, sentence);
            }
            tunnels.push(child.tunnel.clone());
        }
        config.profiles.push(profile);
    }
    root.finish();
    config
}
