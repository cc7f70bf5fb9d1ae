//! A primary of a test: its configuration, its process, and `tollgate-ctl` pointed at it.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_getaffinity},
    sys::signal::Signal,
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{Captured, Error, Namespace, Privilege, Process, ProcessBuilder, RunId, Wait, binaries, run};

/// EAL with a few hundred hugepages to clear needs under a second; a busy host may take many times that.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A question to a primary is answered in milliseconds.
const CTL_LIMIT: Duration = Duration::from_secs(30);

/// One `[[interface]]` of a primary's configuration.
#[derive(Clone, Debug)]
pub struct Interface {
    name: String,
    /// Devargs; None: af_packet on the kernel link of the same name, numbered by the builder.
    device: Option<String>,
    addresses: Vec<String>,
    mtu: Option<u16>,
}

impl Interface {
    /// A port on the kernel link `link` of the primary's namespace.
    pub fn af_packet(link: &str) -> Self {
        Self {
            name: link.to_owned(),
            device: None,
            addresses: Vec::new(),
            mtu: None,
        }
    }

    /// A port named `name` on a DPDK device, as devargs or a PCI address.
    pub fn device(name: &str, devargs: &str) -> Self {
        Self {
            device: Some(devargs.to_owned()),
            ..Self::af_packet(name)
        }
    }

    /// One more address, as `ADDRESS/LENGTH`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// The MTU, in bytes of IP packet.
    #[must_use]
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }
}

/// A primary that is not started yet.
#[derive(Debug)]
pub struct PrimaryBuilder {
    privilege: Privilege,
    instance: String,
    netns: Option<String>,
    interfaces: Vec<Interface>,
    more: String,
    config: Option<String>,
    memory_mb: u32,
    idle: &'static str,
    log_level: String,
    eal_args: Vec<String>,
}

impl PrimaryBuilder {
    /// Runs it in `namespace` (`--netns`).
    #[must_use]
    pub fn netns(mut self, namespace: &Namespace) -> Self {
        self.netns = Some(namespace.name().to_owned());
        self
    }

    /// Another instance name than the one made from the label; it should carry [`RunId::prefix`].
    #[must_use]
    pub fn instance(mut self, name: &str) -> Self {
        name.clone_into(&mut self.instance);
        self
    }

    /// One more interface.
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interfaces.push(interface);
        self
    }

    /// A `[[route]]` to `prefix` via the router `via`.
    #[must_use]
    pub fn route(self, prefix: &str, via: &str) -> Self {
        self.toml(&format!(
            "[[route]]\nprefix = {}\nvia = {}\n",
            quoted(prefix),
            quoted(via)
        ))
    }

    /// A `[[neighbor]]` that needs no ARP.
    #[must_use]
    pub fn neighbor(self, address: &str, mac: &str, interface: &str) -> Self {
        self.toml(&format!(
            "[[neighbor]]\naddress = {}\nmac = {}\ninterface = {}\n",
            quoted(address),
            quoted(mac),
            quoted(interface)
        ))
    }

    /// Any other tables of the configuration, such as `[limits]`, as they are to stand in the file.
    #[must_use]
    pub fn toml(mut self, text: &str) -> Self {
        let _ = writeln!(self.more, "\n{text}");
        self
    }

    /// The whole configuration, as it is to stand in the file, instead of what this builder would write.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// `[eal] memory_mb`; 128 if not set.
    #[must_use]
    pub fn memory_mb(mut self, megabytes: u32) -> Self {
        self.memory_mb = megabytes;
        self
    }

    /// `[workers] idle = "busy"` instead of "adaptive": for a host with a core to spare.
    #[must_use]
    pub fn busy(mut self) -> Self {
        self.idle = "busy";
        self
    }

    /// `[log] level`; "info" if not set.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// `[eal] args`, one more.
    #[must_use]
    pub fn eal_arg(mut self, argument: &str) -> Self {
        self.eal_args.push(argument.to_owned());
        self
    }

    /// The text of the configuration file.
    pub fn config_text(&self) -> String {
        if let Some(text) = &self.config {
            return text.clone();
        }
        let (control, worker) = cpus();
        let list = |values: &[String]| values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", ");
        let mut text = format!("[instance]\nname = {}\n", quoted(&self.instance));
        if let Some(netns) = &self.netns {
            let _ = writeln!(text, "netns = {}", quoted(netns));
        }
        let _ = write!(
            text,
            "file_prefix = {}\n\n[log]\nlevel = {}\ntarget = \"stderr\"\n\n[eal]\nmemory_mb = {}\nargs = [{}]\n\n\
             [workers]\nlcores = [{worker}]\ncontrol_cpus = [{control}]\nidle = {}\n",
            quoted(&self.instance),
            quoted(&self.log_level),
            self.memory_mb,
            list(&self.eal_args),
            quoted(self.idle),
        );
        for (number, interface) in self.interfaces.iter().enumerate() {
            let device = interface
                .device
                .clone()
                .unwrap_or_else(|| format!("net_af_packet{number},iface={}", interface.name));
            let _ = write!(
                text,
                "\n[[interface]]\nname = {}\ndevice = {}\naddresses = [{}]\n",
                quoted(&interface.name),
                quoted(&device),
                list(&interface.addresses)
            );
            if let Some(mtu) = interface.mtu {
                let _ = writeln!(text, "mtu = {mtu}");
            }
        }
        text + &self.more
    }

    /// Starts it and waits until it forwards (`ready` on stderr).
    ///
    /// # Errors
    /// It is not built, it ended with what its stderr says, or a signal came; nothing is left behind.
    pub fn start(self) -> Result<Primary, Error> {
        self.start_in(None)
    }

    /// As [`PrimaryBuilder::start`], in the folder and instance of `previous`, which has ended: the next primary of that name.
    ///
    /// # Errors
    /// As [`PrimaryBuilder::start`].
    pub fn start_after(mut self, previous: Primary) -> Result<Primary, Error> {
        previous.instance.clone_into(&mut self.instance);
        let folder = previous.into_folder();
        self.start_in(Some(folder))
    }

    fn start_in(self, folder: Option<TempDir>) -> Result<Primary, Error> {
        let folder = folder.map_or_else(new_folder, Ok)?;
        let process = self.process(folder.path())?.start()?;
        let mut primary = Primary {
            instance: self.instance,
            privilege: self.privilege,
            process,
            folder,
        };
        primary
            .process
            .wait_for_stderr("`ready`", READY_LIMIT, says_ready)?;
        Ok(primary)
    }

    /// Runs the primary to its end with `arguments` besides its own, and returns how it ended: for `--check`, and for configurations that
    /// must be refused.
    ///
    /// # Errors
    /// It is not built, or does not end within a minute, or a signal came.
    pub fn run_to_end(self, arguments: &[&str]) -> Result<Captured, Error> {
        let folder = new_folder()?;
        self.capture(folder.path(), &folder.path().join("run"), arguments)
    }

    /// As [`PrimaryBuilder::run_to_end`], with the run directory of `other` but its own configuration file.
    ///
    /// # Errors
    /// As [`PrimaryBuilder::run_to_end`].
    pub fn run_to_end_beside(self, other: &Primary, arguments: &[&str]) -> Result<Captured, Error> {
        let folder = new_folder()?;
        self.capture(folder.path(), &other.run_dir(), arguments)
    }

    fn capture(self, folder: &Path, run_dir: &Path, arguments: &[&str]) -> Result<Captured, Error> {
        let config = self.write_config(folder)?;
        let mut command = self.privilege.command(binaries::find("tollgate-primary")?);
        command
            .arg("--run-dir")
            .arg(run_dir)
            .arg("--config")
            .arg(config)
            .args(arguments);
        self.privilege
            .announce(&command, "asks the primary about a configuration");
        run(command, Wait::Interruptible(READY_LIMIT))
    }

    fn process(&self, folder: &Path) -> Result<ProcessBuilder, Error> {
        let config = self.write_config(folder)?;
        let process = ProcessBuilder::new(
            self.privilege,
            "starts the primary",
            binaries::find("tollgate-primary")?,
        )
        .arg("--run-dir")
        .arg(folder.join("run"))
        .arg("--config")
        .arg(config);
        Ok(match &self.netns {
            Some(netns) if self.config.is_none() => {
                process.args(["--instance", &self.instance, "--netns", netns])
            }
            _ => process,
        })
    }

    fn write_config(&self, folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join("primary.toml");
        fs::write(&path, self.config_text()).map_err(|source| Error::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

/// A running primary; dropped, it is ended and its run directory removed.
#[derive(Debug)]
pub struct Primary {
    instance: String,
    privilege: Privilege,
    // Before the folder: it must have ended when its run directory goes.
    process: Process,
    folder: TempDir,
}

impl Primary {
    /// A primary of an instance of its own whose name ends in `label`.
    pub fn builder(privilege: Privilege, label: &str) -> PrimaryBuilder {
        PrimaryBuilder {
            privilege,
            instance: RunId::current().unique(label),
            netns: None,
            interfaces: Vec::new(),
            more: String::new(),
            config: None,
            memory_mb: 128,
            idle: "adaptive",
            log_level: "info".to_owned(),
            eal_args: Vec::new(),
        }
    }

    /// Name of the instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Its `--run-dir`.
    pub fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Its configuration file, which a test may rewrite before [`Primary::reload`].
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("primary.toml")
    }

    /// Its process: output so far, pid, waiting for a line of its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Runs `tollgate-ctl` on this instance and returns how it went, whatever its status.
    ///
    /// # Errors
    /// It is not built, hangs, or a signal came.
    pub fn ctl(&self, words: &[&str]) -> Result<Captured, Error> {
        let mut command = self.privilege.command(binaries::find("tollgate-ctl")?);
        command
            .arg("--run-dir")
            .arg(self.run_dir())
            .args(["--instance", &self.instance])
            .args(words);
        self.privilege.announce(&command, "asks the primary");
        run(command, Wait::Interruptible(CTL_LIMIT))
    }

    /// Runs `tollgate-ctl --json` on this instance and returns what it printed.
    ///
    /// # Errors
    /// It failed, or printed no JSON.
    pub fn ctl_json(&self, words: &[&str]) -> Result<serde_json::Value, Error> {
        let mut all = vec!["--json"];
        all.extend(words);
        self.ctl(&all)?.success()?.json()
    }

    /// SIGHUP: it reads its configuration file again.
    pub fn reload(&mut self) {
        self.process.signal(Signal::SIGHUP);
    }

    /// SIGTERM, and waits for the end; the run directory stays until the value is dropped, for a look at what was left in it.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.process.terminate()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Leaves it running, with its folder, when this process ends; [`crate::sweep()`] ends it.
    pub fn leave_running(self) {
        self.process.leave_running();
        let _ = self.folder.keep();
    }

    fn into_folder(mut self) -> TempDir {
        self.process.kill();
        self.folder
    }
}

fn says_ready(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == "ready")
}

fn new_folder() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .tempdir()
        .map_err(|source| Error::File {
            action: "make a folder in",
            path: std::env::temp_dir(),
            source,
        })
}

/// The first and the last CPU that this process may use: one for the primary's control thread, one for its worker.
fn cpus() -> (usize, usize) {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let mut usable = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let first = usable.next().unwrap_or(0);
    (first, usable.next_back().unwrap_or(first))
}

/// A TOML basic string; JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_holds_what_was_asked_for() {
        let text = Primary::builder(Privilege::Direct, "gw")
            .instance("tgtest-0-gw")
            .interface(Interface::af_packet("a0").address("192.0.2.1/24").mtu(1400))
            .interface(Interface::device("far", "net_null0"))
            .route("203.0.113.0/24", "192.0.2.9")
            .memory_mb(64)
            .config_text();
        for expected in [
            "name = \"tgtest-0-gw\"",
            "device = \"net_af_packet0,iface=a0\"\naddresses = [\"192.0.2.1/24\"]\nmtu = 1400",
            "name = \"far\"\ndevice = \"net_null0\"",
            "[[route]]\nprefix = \"203.0.113.0/24\"\nvia = \"192.0.2.9\"",
            "memory_mb = 64",
        ] {
            assert!(text.contains(expected), "{expected} in:\n{text}");
        }
    }

    #[test]
    fn ready_is_a_word_of_its_own() {
        assert!(says_ready("ready"));
        assert!(says_ready("2026-11-21T02:00:00 info primary: ready"));
        assert!(!says_ready("already running"));
    }

    #[test]
    fn a_worker_and_control_get_cpus_that_exist() {
        let (control, worker) = cpus();
        assert!(control <= worker);
    }
}
