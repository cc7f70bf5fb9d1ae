//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use control::instance::RunDir;

use crate::size::PageSize;

const EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup reserve --size 2M --pages 512 --persist
  tollgate-hugepage-setup mount
  tollgate-hugepage-setup show
  tollgate-hugepage-setup clean --dry-run
  tollgate-hugepage-setup doctor

Exit status: 0 done, 1 failed, 2 wrong usage.";

const RESERVE_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup reserve --size 2M --pages 512 --persist
  tollgate-hugepage-setup reserve --size 1G --pages 4 --node 1

The number is the total that there shall be; one that is higher already stays. The new pages are mapped and touched \
before the command ends.

--persist writes /etc/sysctl.d/80-tollgate-hugepages.conf, or for a size that is not the default, or one node, \
/etc/tmpfiles.d/80-tollgate-hugepages.conf, since the sysctl knows neither. Pages of 1G may be impossible to find once \
memory is in use: 'hugepagesz=1G hugepages=N' on the kernel command line is the sure way.";

const RELEASE_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup release --size 2M
  tollgate-hugepage-setup release --size 2M --pages 128

Pages in use stay until they are let go of. What 'reserve --persist' wrote is lowered or removed as well.";

const MOUNT_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup mount
  tollgate-hugepage-setup mount --size 1G --path /mnt/huge1G --group tollgate";

const UMOUNT_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup umount
  tollgate-hugepage-setup umount --path /mnt/huge1G

Without --path it unmounts what 'mount' mounted. A mount with files in it, or in use, stays.";

const SHOW_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup show
  tollgate-hugepage-setup show --json | jq '.[] | select(.size == \"2M\") | .free'";

const CLEAN_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup clean --dry-run
  tollgate-hugepage-setup clean

It removes the directories in the run directory, table regions and discovery segments of dead instances, and the runtime \
directories and hugepage files of EAL primaries that are dead, also of other DPDK programs. What a process locks, has \
open or has mapped stays.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  tollgate-hugepage-setup doctor
  tollgate-hugepage-setup doctor eth1 > eth1.toml
  tollgate-hugepage-setup doctor 0000:01:00.0 --json | jq -r '.findings[].commands[]'

It changes nothing. With a NIC the findings are comments at the top of a configuration for tollgate-primary, with the \
interface's present addresses, MTU and routes: write it to a file before the NIC is bound to another driver.

Exit status: 0 no problem, 1 a problem, 2 wrong usage.";

/// Prepares a host for DPDK and cleans up after dead instances
#[derive(Debug, Parser)]
#[command(name = "tollgate-hugepage-setup", version = control::VERSION, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where instances keep their lock, socket and description
    #[arg(long, env = "TOLLGATE_RUN_DIR", value_name = "DIR", default_value = RunDir::DEFAULT, global = true)]
    pub(crate) run_dir: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reserve huge pages, and prove that they can be had
    #[command(after_help = RESERVE_EXAMPLES)]
    Reserve(Reserve),
    /// Give huge pages back to the kernel
    #[command(after_help = RELEASE_EXAMPLES)]
    Release(Release),
    /// Mount huge pages where DPDK finds them
    #[command(after_help = MOUNT_EXAMPLES)]
    Mount(Mount),
    /// Unmount huge pages that nobody uses
    #[command(after_help = UMOUNT_EXAMPLES)]
    Umount(Umount),
    /// Show huge pages by size and node, and who uses them
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Remove what dead instances left
    #[command(after_help = CLEAN_EXAMPLES)]
    Clean(Clean),
    /// Say what keeps a NIC or the host from running an instance, and the commands that mend it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the man page in roff
    Man {
        /// The page of one command instead of the tool's
        #[arg(value_parser = ["reserve", "release", "mount", "umount", "show", "clean", "doctor"])]
        command: Option<String>,
    },
}

/// Arguments of `reserve`.
#[derive(Debug, Args)]
pub(crate) struct Reserve {
    /// Size of the pages: 2M or 1G
    #[arg(long)]
    pub(crate) size: PageSize,

    /// How many pages there shall be in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub(crate) pages: u64,

    /// On this NUMA node alone instead of all, evenly
    #[arg(long, value_name = "K")]
    pub(crate) node: Option<u32>,

    /// Reserve them again at every boot
    #[arg(long)]
    pub(crate) persist: bool,

    /// Say what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Size of the pages: 2M or 1G
    #[arg(long)]
    pub(crate) size: PageSize,

    /// How many pages shall stay in all
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1 << 32))]
    pub(crate) pages: u64,

    /// On this NUMA node alone
    #[arg(long, value_name = "K")]
    pub(crate) node: Option<u32>,

    /// Say what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `mount`.
#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// Size of the pages: 2M or 1G; the kernel's default size when it is not named
    #[arg(long)]
    pub(crate) size: Option<PageSize>,

    /// Where; /dev/hugepages for the default size, /dev/hugepages1G for 1G
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,

    /// The group that may make files there, by name or number
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

/// Arguments of `umount`.
#[derive(Debug, Args)]
pub(crate) struct Umount {
    /// Which mount; all that 'mount' made when it is not named
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `clean`.
#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Say what would be removed and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// JSON instead of sentences
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A NIC, by PCI address or name of the kernel's interface; all when none is named
    #[arg(value_name = "PCI|IFACE")]
    pub(crate) device: Option<String>,

    /// JSON instead of a table or a configuration
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_does_something_to_the_host_shows_examples() {
        for command in Arguments::command().get_subcommands() {
            if !["completion", "man"].contains(&command.get_name()) {
                assert!(
                    command
                        .get_after_help()
                        .is_some_and(|help| help.to_string().contains("Examples:"))
                );
            }
        }
    }
}
