//! Keys of SAs that packets go by: in locked memory that no core dump has, and nowhere once their SAs are gone.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use tests::{Family, Primary, Privilege, Wait, memory, run};

use crate::site::{LIMIT, Pair, Site, Way, host_address};

/// One of each way to make a session: combined modes, and a cipher with an integrity algorithm beside it.
const TRANSFORMS: [&str; 3] = ["aes256gcm16", "aes128-sha256", "chacha20poly1305"];
/// What is looked for: a key in parts, since each cipher has its own order of them.
const PART: usize = 16;
/// Bits that HMAC puts over its key, RFC 2104.
const PADS: [u8; 2] = [0x36, 0x5c];

/// SAs of both directions.
fn pairs(transform: &str, first: u32) -> [Pair<'_>; 2] {
    [(first, true), (first + 1, false)].map(|(spi, eastward)| Pair {
        spi,
        eastward,
        transform,
        more: "esn",
    })
}

/// Parts of the keys of an SA, which are in the memory of whoever works with it, and what HMAC makes of the key of an integrity algorithm,
/// which need not be.
fn parts(pair: &Pair<'_>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let key = pair.key();
    let whole: Vec<_> = key.chunks_exact(PART).map(<[u8]>::to_vec).collect();
    let integrity = whole
        .get(1)
        .filter(|_| pair.transform == "aes128-sha256")
        .into_iter();
    let padded = integrity.flat_map(|part| PADS.map(|pad| part.iter().map(|byte| byte ^ pad).collect()));
    (whole.clone(), padded.collect())
}

fn find(primary: &mut Primary, part: &[u8]) -> Vec<memory::Found> {
    memory::find(Privilege::detect(), primary.process().pid(), part).unwrap()
}

/// Every place where a part of a key is may be in no core dump and in no swap.
#[track_caller]
fn assert_kept(found: &[memory::Found], what: &str) {
    for place in found {
        for flag in ["lo", "dd"] {
            assert!(
                place.flags.iter().any(|found| found == flag),
                "{what}, {flag}: {place:?}"
            );
        }
        assert_eq!(place.file, "", "{what}: of the primary alone: {place:?}");
    }
}

fn carry(site: &Site) {
    site.warm_up(Family::Ip4);
    let words = ["-c", "200", "-i", "0.002", "-W", "2", "-s", "600"];
    let pings = site
        .host_a
        .ping(&host_address(Family::Ip4, 2), &words, LIMIT)
        .unwrap();
    assert!(pings.all_answered(), "{pings:?}");
}

#[test]
fn keys_that_packets_are_sealed_and_opened_with_are_in_locked_memory_that_is_not_dumped_and_go_with_their_sas()
 {
    let mut site = Site::create(Family::Ip4, 1);
    for (transform, first) in TRANSFORMS.into_iter().zip([0x1001, 0x1011, 0x1021]) {
        for pair in pairs(transform, first) {
            site.install(pair);
        }
        carry(&site);
        // By one it sends, by the other it receives.
        for pair in pairs(transform, first) {
            let (whole, padded) = parts(&pair);
            for (number, part) in whole.iter().enumerate() {
                let what = format!("{transform}, part {number} of the keys of {:#x}", pair.spi);
                let found = find(&mut site.west, part);
                assert!(!found.is_empty(), "{what}: it works without");
                assert_kept(&found, &what);
            }
            for part in &padded {
                assert_kept(&find(&mut site.west, part), transform);
            }
        }
        for pair in pairs(transform, first) {
            site.delete(pair.spi, pair.eastward);
            let (whole, padded) = parts(&pair);
            for part in whole.iter().chain(&padded) {
                let found = find(&mut site.west, part);
                assert_eq!(found, [], "{transform}, {:#x}: it is deleted", pair.spi);
            }
        }
    }
    site.assert_balanced();
}

/// Has the kernel dump the core of a process that works in `folder`; or, where the kernel gives cores to a program, has gdb do it.
fn dump(primary: &mut Primary, folder: &Path) {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let pid = primary.process().pid();
    if pattern.starts_with(['|', '/']) {
        let mut command = Privilege::detect().command("gcore");
        command.arg("-o").arg(folder.join("core")).arg(pid.to_string());
        run(command, Wait::Interruptible(LIMIT))
            .unwrap()
            .success()
            .unwrap();
    } else {
        primary.process().signal(Signal::SIGABRT);
        let status = primary.process().wait(LIMIT).unwrap();
        assert!(
            std::os::unix::process::ExitStatusExt::core_dumped(&status),
            "{status:?}"
        );
    }
}

#[test]
fn a_core_dump_of_a_primary_whose_sas_work_has_no_part_of_a_key() {
    let privilege = Privilege::detect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    // All that a core dump can have, the memory of packets included: core(5).
    let all = "echo 0xff > /proc/self/coredump_filter && ulimit -c unlimited && cd \"$0\" && exec \"$@\"";
    let way = Way {
        under: &["sh", "-c", all, &path],
        ..Way::default()
    };
    let mut site = Site::create_by(Family::Ip4, 1, way);
    let mut first = 0x1001;
    let mut all = Vec::new();
    for transform in TRANSFORMS {
        for pair in pairs(transform, first) {
            site.install(pair);
            all.push(pair);
        }
        carry(&site);
        first += 16;
    }
    dump(&mut site.west, folder.path());
    let mut cores = fs::read_dir(folder.path()).unwrap();
    let core = cores.next().unwrap().unwrap().path();
    let times = |bytes: &[u8]| memory::times_in_file(privilege, &core, bytes).unwrap();
    assert!(
        times(site.west.instance().as_bytes()) > 0,
        "it is the core of the primary"
    );
    // The padding of its packets: those were in memory that is dumped.
    let pinged: Vec<_> = (0x30..0x40).collect();
    assert!(times(&pinged) > 0, "packets are in it");
    for pair in all {
        let (whole, padded) = parts(&pair);
        for (number, part) in whole.iter().chain(&padded).enumerate() {
            assert_eq!(
                times(part),
                0,
                "{}, part {number} of the keys of {:#x}",
                pair.transform,
                pair.spi
            );
        }
    }
    // What it could not take away when it ended.
    site.west.hugepage_setup(&["clean"]).unwrap().success().unwrap();
}
