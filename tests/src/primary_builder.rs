//! A primary that is to be started: its configuration and its command line.

use std::{
    ffi::OsString,
    fmt::{Display, Write},
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    Captured, Error, Interface, Namespace, Primary, Privilege, Process, ProcessBuilder, RunId, Wait,
    binaries, interface::quoted, run,
};

/// EAL with a few hundred hugepages to clear needs under a second; a busy host may take many times that.
const READY_LIMIT: Duration = Duration::from_secs(60);

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
    stock_tools: bool,
    group: Option<String>,
    workers: usize,
    idle: &'static str,
    log_level: String,
    run_dir: Option<PathBuf>,
    program: Option<PathBuf>,
    under: Vec<OsString>,
    arguments: Vec<OsString>,
}

impl PrimaryBuilder {
    pub(crate) fn new(privilege: Privilege, label: &str) -> Self {
        Self {
            privilege,
            instance: RunId::current().unique(label),
            netns: None,
            interfaces: Vec::new(),
            more: String::new(),
            config: None,
            memory_mb: 256,
            stock_tools: false,
            group: None,
            workers: 1,
            idle: "adaptive",
            log_level: "info".to_owned(),
            run_dir: None,
            program: None,
            under: Vec::new(),
            arguments: Vec::new(),
        }
    }

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

    /// A `[[neighbor]]` that is never asked for.
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

    /// `[instance] group`: whose members may attach.
    #[must_use]
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(name.to_owned());
        self
    }

    /// `[eal] memory_mb`; 256 if not set, which holds the tables for the default limits.
    #[must_use]
    pub fn memory_mb(mut self, megabytes: u32) -> Self {
        self.memory_mb = megabytes;
        self
    }

    /// `[eal] stock_tools = true`: EAL keeps files, and DPDK's own tools may attach.
    #[must_use]
    pub fn stock_tools(mut self) -> Self {
        self.stock_tools = true;
        self
    }

    /// Number of workers, 1 if not set, each on a CPU of its own from the last one down; a host with fewer CPUs gives
    /// fewer.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
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

    /// `--run-dir`: a folder of the caller's, which stays his, instead of one that goes with the [`Primary`].
    #[must_use]
    pub fn run_dir(mut self, folder: &Path) -> Self {
        self.run_dir = Some(folder.to_owned());
        self
    }

    /// One more argument of the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Another program file than the one that was built: a copy that another user may read.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Runs it by another program that becomes it, such as `setpriv` or `unshare` with their options.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Self {
        self.under = words.iter().map(OsString::from).collect();
        self
    }

    /// The text of the configuration file.
    pub fn config_text(&self) -> String {
        if let Some(text) = &self.config {
            return text.clone();
        }
        let (control, workers) = cpus(self.workers);
        let mut text = format!("[instance]\nname = {}\n", quoted(&self.instance));
        if let Some(netns) = &self.netns {
            let _ = writeln!(text, "netns = {}", quoted(netns));
        }
        if let Some(group) = &self.group {
            let _ = writeln!(text, "group = {}", quoted(group));
        }
        let _ = write!(
            text,
            "file_prefix = {}\n\n[log]\nlevel = {}\ntarget = \"stderr\"\n\n[eal]\nmemory_mb = {}\nstock_tools = {}\n\n\
             [workers]\nlcores = [{}]\ncontrol_cpus = [{control}]\nidle = {}\n",
            quoted(&self.instance),
            quoted(&self.log_level),
            self.memory_mb,
            self.stock_tools,
            list(&workers),
            quoted(self.idle),
        );
        for (number, interface) in self.interfaces.iter().enumerate() {
            text += &interface.toml(number);
        }
        text + &self.more
    }

    /// Starts it and waits until it forwards (`ready` on stderr) and its addresses are in use.
    ///
    /// # Errors
    /// It is not built, it ended with what its stderr says, or a signal came; nothing is left behind.
    pub fn start(self) -> Result<Primary, Error> {
        self.start_in(None)
    }

    /// Starts two at a time: most of a start is waiting.
    ///
    /// # Errors
    /// As [`PrimaryBuilder::start`].
    pub fn start_both(self, other: Self) -> Result<(Primary, Primary), Error> {
        thread::scope(|scope| {
            let other = scope.spawn(|| other.start());
            let own = self.start();
            let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            Ok((own?, other?))
        })
    }

    /// As [`PrimaryBuilder::start`], in the folder and instance of `previous`, which has ended: the next primary of that name.
    ///
    /// # Errors
    /// As [`PrimaryBuilder::start`].
    pub fn start_after(mut self, previous: Primary) -> Result<Primary, Error> {
        previous.instance().clone_into(&mut self.instance);
        let folder = previous.into_folder();
        self.start_in(Some(folder))
    }

    fn start_in(self, folder: Option<TempDir>) -> Result<Primary, Error> {
        let folder = folder.map_or_else(new_folder, Ok)?;
        let run_dir = self.run_dir_in(folder.path());
        let mut process = self.process(folder.path())?;
        process.wait_for_stderr("`ready`", READY_LIMIT, says_ready)?;
        let has_ipv6 = self.interfaces.iter().any(Interface::has_ipv6);
        let primary = Primary::new(self.instance, self.privilege, process, run_dir, folder);
        if has_ipv6 {
            primary.wait_for_addresses()?;
        }
        Ok(primary)
    }

    fn process(&self, folder: &Path) -> Result<Process, Error> {
        let mut words = self.words(folder)?;
        if let (None, Some(netns)) = (&self.config, &self.netns) {
            words.extend(["--instance", &self.instance, "--netns", netns].map(OsString::from));
        }
        let program = words.remove(0);
        ProcessBuilder::new(self.privilege, "starts the primary", program)
            .args(words)
            .start()
    }

    /// Runs the primary to its end, and returns how it ended: for `--check`, and for what must be refused.
    ///
    /// # Errors
    /// It is not built, or does not end within a minute, or a signal came.
    pub fn run_to_end(self) -> Result<Captured, Error> {
        let folder = new_folder()?;
        let mut words = self.words(folder.path())?;
        let mut command = self.privilege.command(words.remove(0));
        command.args(words);
        self.privilege.announce(&command, "runs a primary to its end");
        run(command, Wait::Interruptible(READY_LIMIT))
    }

    /// The command line, with the configuration file written.
    fn words(&self, folder: &Path) -> Result<Vec<OsString>, Error> {
        let config = self.write_config(folder)?;
        let program = match &self.program {
            Some(path) => path.clone(),
            None => binaries::find("tollgate-primary")?,
        };
        let mut words = self.under.clone();
        words.extend([
            program.into(),
            "--run-dir".into(),
            self.run_dir_in(folder).into(),
            "--config".into(),
            config.into(),
        ]);
        words.extend(self.arguments.iter().cloned());
        Ok(words)
    }

    fn run_dir_in(&self, folder: &Path) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| folder.join("run"))
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

fn says_ready(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == "ready")
}

/// A folder of this run that other users may look into: what a primary keeps from them is its own affair.
fn new_folder() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix(&RunId::current().prefix())
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .map_err(|source| Error::File {
            action: "make a folder in",
            path: std::env::temp_dir(),
            source,
        })
}

/// The first CPU that this process may use, for the control thread, and the last `count`, for workers.
fn cpus(count: usize) -> (usize, Vec<usize>) {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let usable: Vec<_> = (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect();
    let first = usable.first().copied().unwrap_or(0);
    let workers: Vec<_> = usable.into_iter().rev().take(count).collect();
    (first, if workers.is_empty() { vec![first] } else { workers })
}

fn list<T: Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_holds_what_was_asked_for() {
        let text = PrimaryBuilder::new(Privilege::Direct, "gw")
            .instance("tgtest-0-gw")
            .interface(Interface::af_packet("a0").address("192.0.2.1/24").mtu(1400))
            .interface(Interface::device("far", "net_null0"))
            .route("203.0.113.0/24", "192.0.2.9")
            .memory_mb(64)
            .config_text();
        for expected in [
            "name = \"tgtest-0-gw\"",
            "device = \"net_af_packet0,iface=a0\"\naddresses = [\"192.0.2.1/24\"]\n",
            "rx_descriptors = 4096\nmtu = 1400",
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
    fn workers_get_cpus_that_exist_each_one_of_its_own() {
        let (control, mut workers) = cpus(2);
        assert!(workers.iter().all(|worker| control <= *worker));
        workers.dedup();
        let usable = std::thread::available_parallelism().unwrap().get();
        assert_eq!(workers.len(), usable.min(2));
    }
}
