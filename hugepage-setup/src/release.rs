//! `release`: lowers a pool again, and forgets what was to survive a reboot.

use control::instance::RunDir;

use crate::error::{Error, list};
use crate::host::Host;
use crate::output::say;
use crate::persist::{Setting, Settings};
use crate::pool::Pool;
use crate::size::PageSize;
use crate::users::{User, Users};

/// What is to be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    /// Size of the pages.
    pub(crate) size: PageSize,
    /// How many shall stay in all.
    pub(crate) pages: u64,
    /// Where; `None` for all nodes together.
    pub(crate) node: Option<u32>,
    /// Say what would be done and do nothing.
    pub(crate) dry_run: bool,
}

/// Does it and prints what was done.
pub(crate) fn run(host: &Host, run_dir: &RunDir, wanted: Release) -> Result<(), Error> {
    let pool = Pool::find(host, wanted.size, wanted.node)?;
    let before = pool.counts()?;
    let label = format!("huge pages of {} {}", wanted.size, pool.place());
    let target = wanted.pages.min(before.persistent());
    if wanted.dry_run {
        say!("{label}: {} → {target} (dry run)", before.persistent());
        return Ok(());
    }
    if wanted.pages >= before.persistent() {
        say!("{label}: {} are there, nothing to give back", before.persistent());
    } else {
        pool.ask_for(target)?;
        let after = pool.counts()?;
        say!("{label}: {} → {}", before.persistent(), after.persistent());
        if after.surplus > 0 {
            say!(
                "{} of them are in use and go when they are let go of, by {}",
                after.surplus,
                holders(host, run_dir, &pool)?
            );
        }
    }
    forget(host, wanted)
}

fn holders(host: &Host, run_dir: &RunDir, pool: &Pool) -> Result<String, Error> {
    let users = Users::scan(host, run_dir)?;
    let told = |user: &User| match user.pages(pool.size, pool.node) {
        0 => None,
        pages => Some(format!("{}: {pages}", user.title())),
    };
    let told: Vec<_> = users.list.iter().filter_map(told).collect();
    Ok(if told.is_empty() {
        "files that no process maps (see 'clean')".to_owned()
    } else {
        list(&told)
    })
}

/// A reboot brings no more than what was released to.
fn forget(host: &Host, wanted: Release) -> Result<(), Error> {
    let mut settings = Settings::load(host)?;
    let file = settings.file_of(wanted.size, wanted.node).to_path_buf();
    let changed = match (wanted.pages, wanted.node) {
        // All of the host: what single nodes were to have goes as well.
        (0, None) => settings.remove_size(wanted.size),
        (0, node) => settings.remove(wanted.size, node),
        (pages, node) if settings.pages(wanted.size, node).is_some_and(|kept| kept > pages) => {
            settings.set(
                Setting {
                    size: wanted.size,
                    node,
                    pages,
                },
                &[],
            );
            true
        }
        _ => false,
    };
    if changed {
        settings.store()?;
        match settings.pages(wanted.size, wanted.node) {
            Some(pages) => say!("persisted: {pages} pages in {}", file.display()),
            None => say!("not persisted any more: removed from {}", file.display()),
        }
    }
    if let Some(pages) = settings
        .pages(wanted.size, None)
        .filter(|_| wanted.node.is_some())
    {
        say!(
            "a reboot still brings {pages} pages host-wide, by {}: 'release --size {}' without --node ends that",
            settings.file_of(wanted.size, None).display(),
            wanted.size
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pool::{Counts, make_pool};
    use crate::users::make_process;

    fn place() -> (tempfile::TempDir, Host, RunDir) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        fs::create_dir_all(&host.proc).unwrap();
        fs::write(host.proc.join("meminfo"), "Hugepagesize: 2048 kB\n").unwrap();
        let run_dir = RunDir::new(&root.path().join("run"));
        (root, host, run_dir)
    }

    fn release(pages: u64, node: Option<u32>) -> Release {
        Release {
            size: "2M".parse().unwrap(),
            pages,
            node,
            dry_run: false,
        }
    }

    fn persist(host: &Host, node: Option<u32>, pages: u64) {
        let mut settings = Settings::load(host).unwrap();
        settings.set(
            Setting {
                size: "2M".parse().unwrap(),
                node,
                pages,
            },
            &[],
        );
        settings.store().unwrap();
    }

    fn persisted(host: &Host) -> Vec<(Option<u32>, u64)> {
        Settings::load(host)
            .unwrap()
            .all()
            .iter()
            .map(|setting| (setting.node, setting.pages))
            .collect()
    }

    #[test]
    fn a_pool_is_lowered_and_never_raised() {
        let (_root, host, run_dir) = place();
        let counts = Counts {
            total: 100,
            free: 100,
            reserved: Some(0),
            surplus: 0,
        };
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts);
        run(
            &host,
            &run_dir,
            Release {
                dry_run: true,
                ..release(0, None)
            },
        )
        .unwrap();
        assert_eq!(pool.counts().unwrap().total, 100);
        run(&host, &run_dir, release(40, None)).unwrap();
        assert_eq!(pool.counts().unwrap().total, 40);
        run(&host, &run_dir, release(90, None)).unwrap();
        assert_eq!(pool.counts().unwrap().total, 40);
    }

    #[test]
    fn pages_in_use_are_told_with_their_users() {
        let (_root, host, run_dir) = place();
        let counts = Counts {
            total: 8,
            free: 0,
            reserved: Some(0),
            surplus: 8,
        };
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts);
        assert!(
            holders(&host, &run_dir, &pool)
                .unwrap()
                .contains("files that no process maps")
        );
        make_process(
            &host,
            5,
            "qemu",
            "1 default huge dirty=8 N0=8 kernelpagesize_kB=2048\n",
        );
        assert_eq!(holders(&host, &run_dir, &pool).unwrap(), "qemu (pid 5): 8");
    }

    #[test]
    fn what_is_released_does_not_come_back_with_a_reboot() {
        let (_root, host, run_dir) = place();
        make_pool(
            &host,
            "2M".parse().unwrap(),
            None,
            Counts {
                reserved: Some(0),
                ..Counts::default()
            },
        );
        persist(&host, None, 512);
        run(&host, &run_dir, release(100, None)).unwrap();
        assert_eq!(persisted(&host), [(None, 100)]);
        run(&host, &run_dir, release(200, None)).unwrap();
        assert_eq!(persisted(&host), [(None, 100)]);
        run(&host, &run_dir, release(0, None)).unwrap();
        assert_eq!(persisted(&host), []);
        assert!(!host.etc.join("sysctl.d/80-tollgate-hugepages.conf").exists());
    }

    #[test]
    fn releasing_one_node_leaves_the_settings_of_others() {
        let (_root, host, run_dir) = place();
        make_pool(
            &host,
            "2M".parse().unwrap(),
            None,
            Counts {
                reserved: Some(0),
                ..Counts::default()
            },
        );
        make_pool(&host, "2M".parse().unwrap(), Some(0), Counts::default());
        persist(&host, Some(0), 10);
        persist(&host, Some(1), 20);
        run(&host, &run_dir, release(0, Some(0))).unwrap();
        assert_eq!(persisted(&host), [(Some(1), 20)]);
        run(&host, &run_dir, release(0, None)).unwrap();
        assert_eq!(persisted(&host), []);
    }
}
