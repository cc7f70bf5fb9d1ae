//! strongSwan as the one that answers.

use std::time::Duration;

use ::tests::{Privilege, Process, Wait, run, wait_until};

use super::site::{EAST, EAST_LINK, KEY, Log, Proposals, Site, WEST, write};
use crate::error::Error;

const PROGRAM: &str = "/usr/sbin/charon-systemd";
const LIMIT: Duration = Duration::from_secs(30);
/// What it protects has to be an address of its own.
const INSIDE: &str = "192.168.2.1";

/// A gateway of ours, and strongSwan at the other end.
pub(super) struct Charon {
    process: Process,
    pub(super) site: Site,
}

impl Charon {
    pub(super) fn create(privilege: Privilege, log: Log) -> Result<Self, Error> {
        let proposals = Proposals::Ecp256;
        let site = Site::alone(privilege, proposals, log)?;
        let [_, namespace] = &site.namespaces;
        namespace.add_address(EAST_LINK, &format!("{EAST}/24"))?;
        namespace.add_address("lo", &format!("{INSIDE}/32"))?;
        // Its folder is that of the gateway, which goes with it.
        let folder = site.west.config_path().with_file_name("charon");
        std::fs::create_dir_all(&folder).map_err(|source| Error::File {
            action: "make",
            path: folder.clone(),
            source,
        })?;
        let (conf, vici) = (folder.join("strongswan.conf"), folder.join("vici"));
        // Its level unless it is told otherwise; there is no journal that would take it.
        let log = match log {
            Log::Usual => format!(
                "filelog {{\n log {{\n path = {}\n default = 1\n }}\n }}\n",
                folder.join("log").display()
            ),
            Log::Nothing => String::new(),
        };
        // The plugins that are needed, and no others.
        let text = format!(
            "charon-systemd {{\n load = random nonce openssl kdf kernel-libipsec kernel-netlink socket-default vici\n\
             journal {{\n default = -1\n }}\n syslog {{\n }}\n {log} plugins {{\n vici {{\n socket = unix://{}\n }}\n }}\n}}\n",
            vici.display()
        );
        write(&conf, &text, 0o644)?;
        let (ike, esp) = (proposals.ike(), proposals.esp());
        let connection = format!(
            "connections {{\n pr1 {{\n version = 2\n local_addrs = {EAST}\n remote_addrs = {WEST}\n proposals = {ike}\n\
             local {{\n auth = psk\n id = {EAST}\n }}\n remote {{\n auth = psk\n id = {WEST}\n }}\n\
             children {{\n net {{\n local_ts = 192.168.2.0/24\n remote_ts = 192.168.1.0/24\n esp_proposals = {esp}\n }}\n }}\n }}\n}}\n\
             secrets {{\n ike-1 {{\n id-1 = {EAST}\n id-2 = {WEST}\n secret = \"{KEY}\"\n }}\n}}\n"
        );
        write(&folder.join("swanctl.conf"), &connection, 0o600)?;
        let process = namespace
            .process("is compared with", PROGRAM)
            .env("STRONGSWAN_CONF", &conf)
            .env("SWANCTL_DIR", &folder)
            .start()?;
        let uri = format!("unix://{}", vici.display());
        wait_until("that strongSwan has its connection", LIMIT, || {
            let mut command = privilege.command("env");
            command
                .arg(format!("SWANCTL_DIR={}", folder.display()))
                .arg(format!("STRONGSWAN_CONF={}", conf.display()))
                .args(["swanctl", "--load-all", "--noprompt", "--uri", &uri]);
            privilege.announce(&command, "gives strongSwan its connection");
            let loaded = run(command, Wait::Interruptible(LIMIT))?;
            Ok(loaded
                .stdout
                .contains("successfully loaded 1 connections")
                .then_some(()))
        })?;
        Ok(Self { process, site })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn end(mut self) -> Result<(), Error> {
        self.process.terminate()?;
        self.site.end()
    }
}
