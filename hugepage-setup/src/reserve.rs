//! `reserve`: raises a pool to a number of pages, proves the new ones, and makes the number last.

use crate::error::Error;
use crate::host::{Host, Memory};
use crate::output::say;
use crate::persist::{Setting, Settings};
use crate::pool::{Counts, Pool};
use crate::progress::Progress;
use crate::proof::prove;
use crate::size::{Bytes, PageSize};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    /// Size of the pages.
    pub(crate) size: PageSize,
    /// How many there shall be in all.
    pub(crate) pages: u64,
    /// Where; `None` for all nodes together, evenly.
    pub(crate) node: Option<u32>,
    /// Whether a reboot shall bring them again.
    pub(crate) persist: bool,
    /// Say what would be done and do nothing.
    pub(crate) dry_run: bool,
}

/// Does it and prints what was done.
pub(crate) fn run(host: &Host, wanted: Reservation) -> Result<(), Error> {
    let pool = Pool::find(host, wanted.size, wanted.node)?;
    let before = pool.counts()?;
    let enough = before.persistent() >= wanted.pages;
    if !enough && let Some(error) = too_many(&pool, &before, wanted.pages, host.memory(wanted.node)?) {
        return Err(error);
    }
    let label = format!("huge pages of {} {}", wanted.size, pool.place());
    if wanted.dry_run {
        say!(
            "{label}: {} → {} (dry run)",
            before.persistent(),
            wanted.pages.max(before.persistent())
        );
        if wanted.persist {
            say!(
                "would be written: {}",
                Settings::load(host)?.file_of(wanted.size, wanted.node).display()
            );
        }
        return Ok(());
    }
    if enough {
        say!(
            "{label}: {} are there already and stay; 'release' lowers the number",
            before.persistent()
        );
        return if wanted.persist {
            persist(host, &wanted)
        } else {
            Ok(())
        };
    }
    {
        let mut progress = Progress::new(format!("reserving {label}"));
        raise(&pool, wanted.pages, &mut |pages| {
            progress.report(pages, wanted.pages)
        })?;
    }
    let after = pool.counts()?;
    say!("{label}: {} → {}", before.persistent(), after.persistent());
    let proof = prove_new(host, &pool, &before, &after);
    // Also when fewer came: at boot, before memory is fragmented, the kernel can give what it cannot now.
    let persisted = if wanted.persist {
        persist(host, &wanted)
    } else {
        Ok(())
    };
    if after.persistent() < wanted.pages {
        return Err(short(host, &wanted, &before, &after)?);
    }
    proof.and(persisted)
}

/// Raises the pool to `wanted` pages in steps, as far as the kernel goes along, and reports how many there are.
fn raise(pool: &Pool, wanted: u64, report: &mut dyn FnMut(u64)) -> Result<(), Error> {
    let mut now = pool.counts()?.persistent();
    // Steps of 1 in 100, but not so small that the steps take longer than the pages.
    let step = ((wanted - now.min(wanted)) / 100)
        .max((64 << 20) / pool.size.bytes())
        .max(1);
    while now < wanted {
        report(now);
        // From what there is now: somebody else may have raised it meanwhile, and that shall stay.
        pool.ask_for((now + step).min(wanted))?;
        let next = pool.counts()?.persistent();
        if next <= now {
            break;
        }
        now = next;
    }
    Ok(())
}

/// An error when the missing pages take more memory than there is: the kernel would squeeze every other process before
/// it gave up.
fn too_many(pool: &Pool, before: &Counts, wanted: u64, memory: Memory) -> Option<Error> {
    let missing = wanted.saturating_sub(before.persistent());
    let room = memory.available / pool.size.bytes();
    (missing > room).then(|| Error::Memory {
        size: pool.size,
        missing,
        place: pool.place(),
        available: memory.available,
        total: memory.total,
        most: before.persistent() + room,
    })
}

fn prove_new(host: &Host, pool: &Pool, before: &Counts, after: &Counts) -> Result<(), Error> {
    let new = after.persistent().saturating_sub(before.persistent());
    // Others may have taken some of them by now, which is what they are for.
    let pages = new.min(after.unclaimed());
    if pages == 0 {
        return Ok(());
    }
    let place = pool.place();
    let cpus = pool.node.map_or(Ok(Vec::new()), |node| host.cpus_of_node(node))?;
    if pool.node.is_some() && cpus.is_empty() {
        say!("not proved by touching them: no CPU belongs to the node, so nothing can be run there");
        return Ok(());
    }
    let proof = {
        let mut progress = Progress::new(format!("touching the new pages {place}"));
        prove(pool, pages, &cpus, &mut |touched| progress.report(touched, pages))
    };
    let proved = proof.proved.min(proof.on_node);
    if proved < pages {
        let elsewhere = format!(
            "{} of them came from other nodes",
            proof.proved.saturating_sub(proof.on_node)
        );
        return Err(Error::Proof {
            size: pool.size,
            proved,
            pages,
            place,
            why: proof.stopped.unwrap_or(elsewhere),
        });
    }
    say!(
        "proved: {pages} new pages ({}) mapped and touched at once",
        Bytes(pages * pool.size.bytes())
    );
    Ok(())
}

/// Why there are fewer than wanted, and what helps.
fn short(host: &Host, wanted: &Reservation, before: &Counts, after: &Counts) -> Result<Error, Error> {
    let memory = host.memory(wanted.node)?;
    let total = after.persistent();
    let still = (wanted.pages - total) * wanted.size.bytes();
    let boot = match (wanted.node, host.default_page_size()? == wanted.size) {
        (Some(node), _) => format!("hugepagesz={} hugepages={node}:{}", wanted.size, wanted.pages),
        (None, true) => format!("hugepages={}", wanted.pages),
        (None, false) => format!("hugepagesz={} hugepages={}", wanted.size, wanted.pages),
    };
    let (why, remedy) = if still > memory.available {
        (
            format!(
                "the rest takes {} and only {} is available now",
                Bytes(still),
                Bytes(memory.available)
            ),
            format!("stop what uses the memory, or reserve fewer (--pages {total})"),
        )
    } else {
        (
            format!(
                "{} of memory is available, but in pieces smaller than {} (fragmented, or held by caches)",
                Bytes(memory.available),
                wanted.size
            ),
            format!(
                "run 'sync; sysctl vm.drop_caches=3 vm.compact_memory=1' and this command again, boot with '{boot}' on \
                 the kernel command line, or reserve fewer (--pages {total})"
            ),
        )
    };
    Ok(Error::Short {
        size: wanted.size,
        gave: total.saturating_sub(before.persistent()),
        missing: wanted.pages - before.persistent(),
        place: crate::pool::place(wanted.node),
        total,
        wanted: wanted.pages,
        why,
        remedy,
    })
}

fn persist(host: &Host, wanted: &Reservation) -> Result<(), Error> {
    let mut settings = Settings::load(host)?;
    let nodes_now: Vec<_> = Pool::nodes(host, wanted.size)?
        .iter()
        .filter_map(|pool| Some((pool.node?, pool.counts().ok()?.persistent())))
        .collect();
    settings.set(
        Setting {
            size: wanted.size,
            node: wanted.node,
            pages: wanted.pages,
        },
        &nodes_now,
    );
    settings.store()?;
    let file = settings.file_of(wanted.size, wanted.node);
    let reader = if file.parent().is_some_and(|parent| parent.ends_with("sysctl.d")) {
        "sysctl reads it at every boot"
    } else {
        "systemd-tmpfiles reads it at every boot, since the sysctl knows neither other sizes nor nodes"
    };
    say!(
        "persisted: {} pages in {} ({reader})",
        wanted.pages,
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pool::make_pool;

    fn host(available_kib: u64) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        fs::create_dir_all(&host.proc).unwrap();
        let meminfo = format!(
            "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: {available_kib} kB\nHugepagesize: 2048 kB\n"
        );
        fs::write(host.proc.join("meminfo"), meminfo).unwrap();
        (root, host)
    }

    fn counts(total: u64) -> Counts {
        Counts {
            total,
            free: total,
            reserved: Some(0),
            surplus: 0,
        }
    }

    fn wanted(pages: u64, node: Option<u32>) -> Reservation {
        Reservation {
            size: "2M".parse().unwrap(),
            pages,
            node,
            persist: false,
            dry_run: false,
        }
    }

    #[test]
    fn a_pool_is_raised_in_steps_that_end_at_what_is_wanted() {
        let (_root, host) = host(0);
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts(10));
        let mut seen = Vec::new();
        raise(&pool, 1000, &mut |pages| seen.push(pages)).unwrap();
        assert_eq!(pool.counts().unwrap().total, 1000);
        assert!(seen.len() > 10 && seen.is_sorted() && seen[0] == 10, "{seen:?}");
    }

    #[test]
    fn raising_never_lowers() {
        let (_root, host) = host(0);
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts(500));
        raise(&pool, 64, &mut |_| {}).unwrap();
        assert_eq!(pool.counts().unwrap().total, 500);
        run(&host, wanted(64, None)).unwrap();
        assert_eq!(pool.counts().unwrap().total, 500);
    }

    #[test]
    fn more_than_memory_holds_is_refused_before_anything_changes() {
        let (_root, host) = host(1 << 20);
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts(10));
        let message = run(&host, wanted(10 + 513, None)).unwrap_err().to_string();
        assert!(
            message.contains("none of the 513") && message.contains("at most 522"),
            "{message}"
        );
        assert_eq!(pool.counts().unwrap().total, 10);
    }

    #[test]
    fn a_dry_run_changes_nothing() {
        let (_root, host) = host(1 << 20);
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts(10));
        run(
            &host,
            Reservation {
                dry_run: true,
                persist: true,
                ..wanted(20, None)
            },
        )
        .unwrap();
        assert_eq!(pool.counts().unwrap().total, 10);
        assert!(!host.etc.exists());
    }

    #[test]
    fn fewer_than_wanted_says_how_many_why_and_what_to_do() {
        let (_root, host) = host(4 << 20);
        let message = short(&host, &wanted(100, None), &counts(20), &counts(50))
            .unwrap()
            .to_string();
        for part in [
            "gave 30 of the 80",
            "50 of 100",
            "fragmented",
            "compact_memory",
            "'hugepages=100'",
            "--pages 50",
        ] {
            assert!(message.contains(part), "no '{part}' in: {message}");
        }
        let (_root, host) = self::host(1024);
        let message = short(&host, &wanted(100, None), &counts(20), &counts(50))
            .unwrap()
            .to_string();
        assert!(
            message.contains("only 1 MiB is available") && !message.contains("compact"),
            "{message}"
        );
    }

    #[test]
    fn what_is_there_already_can_still_be_persisted() {
        let (_root, host) = host(0);
        make_pool(&host, "2M".parse().unwrap(), None, counts(64));
        make_pool(
            &host,
            "2M".parse().unwrap(),
            Some(0),
            Counts {
                reserved: None,
                ..counts(64)
            },
        );
        run(
            &host,
            Reservation {
                persist: true,
                ..wanted(64, None)
            },
        )
        .unwrap();
        assert_eq!(
            Settings::load(&host).unwrap().pages("2M".parse().unwrap(), None),
            Some(64)
        );
        run(
            &host,
            Reservation {
                persist: true,
                ..wanted(32, Some(0))
            },
        )
        .unwrap();
        let settings = Settings::load(&host).unwrap();
        assert_eq!(settings.pages("2M".parse().unwrap(), Some(0)), Some(32));
        assert_eq!(settings.pages("2M".parse().unwrap(), None), None);
    }

    #[test]
    fn new_pages_that_others_took_need_no_proof() {
        let (_root, host) = host(0);
        let pool = make_pool(&host, "2M".parse().unwrap(), None, counts(0));
        let taken = Counts {
            total: 20,
            free: 5,
            reserved: Some(5),
            surplus: 0,
        };
        // Nothing is left to touch, so nothing of the machine that runs the test is touched.
        prove_new(&host, &pool, &counts(0), &taken).unwrap();
    }
}
