//! From the command line to the first packet, and back: what is made in order is undone in reverse.

mod forward;
mod lookup;
mod shown;

use std::sync::Arc;

use control::instance::{Description, InstanceLock, RunDir};
use dpdk::{Eal, RuntimeDirectory, ShutdownError};
use shm::{DiscoveryPage, InstanceState, ProcessId};

pub use self::lookup::{AdjacencyStorage, FibStorage};
use crate::claims;
use crate::config::{Config, Overrides};
use crate::control_thread::Signals;
use crate::log::Log;
use crate::netns;
use crate::plan::{self, Plan};

/// Everything that the command line and the configuration say.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// What it needs.
    pub plan: Plan,
    /// What the command line says against the file, for reading it again.
    pub overrides: Overrides,
    /// The directory of all instances.
    pub run_dir: RunDir,
    /// Whether devices that the host itself uses may be taken.
    pub take_over: bool,
}

/// Why the primary ended. Every message is a sentence that says what to do.
pub type Failure = Box<dyn std::error::Error>;

/// Forwards until SIGTERM or SIGINT. Nothing stays behind, however it returns.
pub fn run(start: Start) -> Result<(), Failure> {
    let Start {
        config,
        plan,
        overrides,
        run_dir,
        take_over,
    } = start;
    let log = Log::init(&config.log)?;
    claims::guard_pci(&config, take_over)?;
    if let Some(name) = &config.instance.netns {
        netns::enter(name)?;
    }
    claims::guard_interfaces(&config, take_over)?;
    claims::warn_of_kernel_ipv6(&config);
    let group = config.instance.group.as_ref().map(|group| group.gid);

    let lock = run_dir.instance(&config.instance.name).claim()?;
    plan::check_hugepages(&plan)?;
    lock.open_to(group)?;
    let description = describe(&config, &plan, &lock)?;
    publish_claims(&run_dir, &lock, &description, group)?;
    let page = Arc::new(DiscoveryPage::create(
        &description.segment,
        group,
        control::VERSION,
    )?);
    leave_last_words(&page);

    // Where DPDK's own tools look. Until EAL is shut down.
    let runtime_directory = RuntimeDirectory::make(&config.instance.file_prefix)?;
    // From here on there may be threads.
    let signals = Signals::catch()?;
    let eal = Eal::init(&plan.eal_args)?;
    let forwarded = forward::forward(
        &eal,
        &config,
        &plan,
        &overrides,
        &lock,
        &description,
        &page,
        signals,
        log,
    );
    page.set_state(InstanceState::Stopping);
    // All that forward made is dropped by now, so whatever is left is a leak.
    match eal.shutdown() {
        Err(ShutdownError::InUse { in_use }) if !in_use.is_leak() => {
            tracing::info!(target: "eal", "a driver kept memory of its own: {in_use}");
        }
        Err(error) => tracing::error!(target: "eal", "{error}"),
        Ok(()) => {}
    }
    if config.eal.stock_tools {
        remove_hugepage_files(&config, &description);
    }
    drop(runtime_directory);
    forwarded
}

/// A panic ends the process at once; the page stays and says why.
fn leave_last_words(page: &Arc<DiscoveryPage>) {
    // Weak: an ordinary end removes the page.
    let page = Arc::downgrade(page);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(page) = page.upgrade() {
            page.set_last_error(&panic.to_string());
            page.set_state(InstanceState::Failed);
        }
        print(panic);
    }));
}

/// What EAL leaves where DPDK's own tools may attach.
fn remove_hugepage_files(config: &Config, description: &Description) {
    let prefix = format!("{}map_", config.instance.file_prefix);
    for entry in std::fs::read_dir(&description.huge_dir)
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// What this primary says of itself.
fn describe(config: &Config, plan: &Plan, lock: &InstanceLock) -> Result<Description, Failure> {
    let me = ProcessId::current();
    let tables = plan
        .tables_path()
        .ok_or("no hugetlbfs is mounted: run 'tollgate-hugepage-setup mount'")?;
    Ok(Description {
        name: config.instance.name.clone(),
        version: control::VERSION.to_owned(),
        pid: me.pid,
        start_time: me.start_time,
        file_prefix: config.instance.file_prefix.clone(),
        netns: config.instance.netns.clone(),
        config: std::path::absolute(&config.path)?,
        huge_dir: plan.huge_dir.clone().unwrap_or_default(),
        tables,
        segment: lock.directory().segment(),
        group: config.instance.group.as_ref().map(|group| group.name.clone()),
        stock_tools: config.eal.stock_tools,
        devices: claims::devices(config, netns::inode()?),
        cpus: claims::cpus(config),
    })
}

/// Compares claims with those of all others and publishes ours, with nobody else doing so in between.
fn publish_claims(
    run_dir: &RunDir,
    lock: &InstanceLock,
    description: &Description,
    group: Option<u32>,
) -> Result<(), Failure> {
    let _turn = run_dir.claims()?;
    claims::check(run_dir, description)?;
    Ok(lock.publish(description, group)?)
}
