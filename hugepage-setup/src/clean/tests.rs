//! What a clean removes and what it must not, on a tree of its own.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;

use control::instance::{Description, InstanceDir, RunDir};
use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;

use super::record::{Kind, Record};
use super::{clean, sentences};
use crate::host::Host;
use crate::users::make_process;

struct Place {
    root: tempfile::TempDir,
    host: Host,
    run_dir: RunDir,
    huge_dir: PathBuf,
}

fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let host = Host::below(root.path());
    let huge_dir = root.path().join("huge");
    for directory in [&host.proc, &host.eal, &huge_dir, &host.dev.join("shm")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(host.proc.join("meminfo"), "Hugepagesize: 2048 kB\n").unwrap();
    fs::write(
        host.proc.join("mounts"),
        format!("none {} hugetlbfs rw,pagesize=2M 0 0\n", huge_dir.display()),
    )
    .unwrap();
    let run_dir = RunDir::new(&root.path().join("run"));
    Place {
        root,
        host,
        run_dir,
        huge_dir,
    }
}

impl Place {
    fn instance(&self, name: &str) -> InstanceDir {
        self.run_dir.instance(&name.parse().unwrap())
    }

    fn description(&self, name: &str) -> Description {
        Description {
            name: name.parse().unwrap(),
            version: control::VERSION.into(),
            pid: 1,
            start_time: 1,
            file_prefix: format!("tg-{name}"),
            netns: None,
            config: "blue.toml".into(),
            huge_dir: self.huge_dir.clone(),
            tables: self.huge_dir.join(format!("tg-{name}.tables")),
            segment: self.instance(name).segment(),
            group: None,
            stock_tools: false,
            devices: Vec::new(),
            cpus: Vec::new(),
        }
    }

    /// What a running instance has, apart from its locks.
    fn files_of(&self, name: &str) -> Vec<PathBuf> {
        let description = self.description(name);
        let eal = self.eal_directory(&description.file_prefix);
        let segment = self
            .host
            .dev
            .join("shm")
            .join(description.segment.trim_start_matches('/'));
        let maps = [
            self.map_file(&description.file_prefix, 0),
            self.map_file(&description.file_prefix, 1),
        ];
        fs::write(&description.tables, [1; 4096]).unwrap();
        fs::write(&segment, [1; 4096]).unwrap();
        [vec![description.tables, segment, eal], maps.into()].concat()
    }

    fn map_file(&self, prefix: &str, number: u32) -> PathBuf {
        let path = self.huge_dir.join(format!("{prefix}map_{number}"));
        fs::write(&path, [1; 4096]).unwrap();
        path
    }

    /// A runtime directory as EAL leaves it.
    fn eal_directory(&self, prefix: &str) -> PathBuf {
        let path = self.host.eal.join(prefix);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("config"), [1; 4096]).unwrap();
        fs::write(path.join("fbarray_memzone"), [1; 4096]).unwrap();
        drop(UnixDatagram::bind(path.join("mp_socket")).unwrap());
        path
    }

    /// A dead instance with everything that it had.
    fn dead(&self, name: &str) -> Vec<PathBuf> {
        let instance = self.instance(name);
        fs::create_dir_all(instance.path()).unwrap();
        fs::write(instance.path().join("lock"), "1\n").unwrap();
        fs::write(
            instance.path().join("instance.json"),
            serde_json::to_string(&self.description(name)).unwrap(),
        )
        .unwrap();
        [vec![instance.path().to_path_buf()], self.files_of(name)].concat()
    }

    fn clean(&self) -> Vec<Record> {
        clean(&self.host, &self.run_dir, false).unwrap()
    }
}

fn removed(records: &[Record]) -> Vec<PathBuf> {
    let mut paths: Vec<_> = records
        .iter()
        .filter(|record| record.error.is_none())
        .map(|record| record.path.clone())
        .collect();
    paths.sort();
    paths
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths
}

fn there(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| path.exists()).count()
}

/// Locks what EAL locks of `config`: a range in the middle.
fn lock_config(directory: &std::path::Path) -> File {
    let config = OpenOptions::new()
        .read(true)
        .write(true)
        .open(directory.join("config"))
        .unwrap();
    let range = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 64,
        l_len: 128,
        l_pid: 0,
    };
    fcntl(config.as_fd(), FcntlArg::F_OFD_SETLK(&range)).unwrap();
    config
}

#[test]
fn a_dead_instance_goes_with_all_that_it_had_and_nothing_else() {
    let place = place();
    let remains = place.dead("blue");
    let live = place.instance("green");
    let lock = live.claim().unwrap();
    lock.publish(&place.description("green"), None).unwrap();
    let of_live = place.files_of("green");
    let stranger = place.huge_dir.join("libvirt-guest");
    fs::write(&stranger, "").unwrap();
    let records = place.clean();
    assert_eq!(removed(&records), sorted(remains.clone()));
    assert_eq!(there(&remains), 0);
    assert_eq!(there(&of_live), of_live.len());
    assert!(live.path().join("instance.json").exists() && stranger.exists());
    assert!(records.iter().all(|record| {
        record
            .instance
            .as_ref()
            .is_some_and(|name| name.as_str() == "blue")
    }));
}

#[test]
fn a_dry_run_names_the_same_and_touches_nothing() {
    let place = place();
    let remains = place.dead("blue");
    let would = clean(&place.host, &place.run_dir, true).unwrap();
    assert_eq!(there(&remains), remains.len());
    assert!(!place.run_dir.path().join(".claims").exists());
    assert_eq!(removed(&would), removed(&place.clean()));
    assert!(sentences(&would, true).contains("would remove hugepage file of instance blue"));
}

#[test]
fn nothing_to_clean_leaves_no_run_directory_behind() {
    let place = place();
    let records = place.clean();
    assert_eq!(sentences(&records, false), "nothing to clean\n");
    assert!(!place.run_dir.path().exists());
}

#[test]
fn a_primary_that_starts_again_in_the_place_of_a_dead_one_is_not_hit() {
    let place = place();
    let remains = place.dead("blue");
    let blue = place.instance("blue");
    let lock = blue.claim().unwrap();
    lock.publish(&place.description("blue"), None).unwrap();
    assert!(place.clean().is_empty());
    assert_eq!(there(&remains), remains.len());
    assert!(blue.is_alive().unwrap());
}

#[test]
fn a_primary_that_has_not_described_itself_yet_keeps_its_place() {
    let place = place();
    let blue = place.instance("blue");
    let lock = blue.claim().unwrap();
    assert!(place.clean().is_empty());
    assert!(blue.is_alive().unwrap());
    lock.publish(&place.description("blue"), None).unwrap();
}

#[test]
fn a_prefix_that_lives_under_another_run_directory_is_not_hit() {
    let place = place();
    let remains = place.dead("blue");
    let lock = lock_config(&place.host.eal.join("tg-blue"));
    place.clean();
    let kept = [
        place.host.eal.join("tg-blue/config"),
        place.huge_dir.join("tg-bluemap_0"),
    ];
    assert_eq!(there(&kept), 2);
    assert!(!place.instance("blue").exists());
    drop(lock);
    place.clean();
    assert_eq!(there(&remains), 0);
}

#[test]
fn an_unknown_eal_primary_is_alive_as_long_as_its_config_is_locked() {
    let place = place();
    let directory = place.eal_directory("rte");
    let file = place.map_file("rte", 0);
    let lock = lock_config(&directory);
    assert!(place.clean().is_empty());
    drop(lock);
    assert_eq!(removed(&place.clean()), sorted(vec![directory, file]));
    assert!(!place.host.eal.exists(), "it was the last prefix");
}

#[test]
fn a_directory_is_alive_as_long_as_a_socket_in_it_has_an_owner() {
    let place = place();
    let directory = place.eal_directory("rte");
    let socket = UnixDatagram::bind(directory.join("mp_socket_12_34")).unwrap();
    assert!(place.clean().is_empty());
    drop(socket);
    let listener = UnixListener::bind(directory.join("dpdk_telemetry.v2")).unwrap();
    assert!(place.clean().is_empty());
    drop(listener);
    assert_eq!(removed(&place.clean()), [directory]);
}

#[test]
fn a_hugepage_file_is_alive_while_it_is_locked_or_mapped() {
    let place = place();
    let file = place.map_file("spdk_pid12", 0);
    let lock = Flock::lock(File::open(&file).unwrap(), FlockArg::LockSharedNonblock).unwrap();
    assert!(place.clean().is_empty());
    drop(lock);
    let meta = fs::metadata(&file).unwrap();
    let (major, minor) = (
        nix::sys::stat::major(meta.dev()),
        nix::sys::stat::minor(meta.dev()),
    );
    let process = make_process(&place.host, 12, "spdk_tgt", "");
    fs::write(
        process.join("maps"),
        format!("1-2 rw-s 0 {major:02x}:{minor:02x} {} /x\n", meta.ino()),
    )
    .unwrap();
    assert!(place.clean().is_empty());
    fs::remove_dir_all(process).unwrap();
    assert_eq!(removed(&place.clean()), [file]);
}

#[test]
fn what_a_live_process_holds_of_a_dead_instance_is_told() {
    let place = place();
    place.dead("blue");
    let held = place.huge_dir.join("tg-bluemap_1");
    let process = make_process(&place.host, 12, "dpdk-dumpcap", "");
    std::os::unix::fs::symlink(&held, process.join("fd/3")).unwrap();
    let records = place.clean();
    let failed: Vec<_> = records.iter().filter(|record| record.error.is_some()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].kind, &failed[0].path), (Kind::HugepageFile, &held));
    assert!(
        failed[0]
            .error
            .as_ref()
            .is_some_and(|error| error.contains("dpdk-dumpcap (pid 12)"))
    );
    assert!(held.exists());
}

#[test]
fn a_directory_without_config_proves_nothing() {
    let place = place();
    let directory = place.host.eal.join("rte");
    fs::create_dir(&directory).unwrap();
    drop(UnixListener::bind(directory.join("dpdk_telemetry.v2")).unwrap());
    assert!(place.clean().is_empty());
    assert_eq!(there(&[directory]), 1);
}

#[test]
fn a_dead_instance_takes_its_directory_with_it_that_has_no_config_yet() {
    let place = place();
    let remains = place.dead("blue");
    fs::remove_file(place.host.eal.join("tg-blue/config")).unwrap();
    place.clean();
    assert_eq!(there(&remains), 0);
}

#[test]
fn a_dead_instance_that_never_described_itself_goes() {
    let place = place();
    let instance = place.instance("blue");
    for description in [None, Some("{"), Some("{\"name\": \"../..\"}")] {
        fs::create_dir_all(instance.path()).unwrap();
        if let Some(text) = description {
            fs::write(instance.path().join("instance.json"), text).unwrap();
        }
        assert_eq!(removed(&place.clean()), [instance.path()]);
        assert!(!place.run_dir.path().exists());
    }
}

#[test]
fn a_prefix_that_is_no_file_name_leads_nowhere() {
    let place = place();
    let outside = place.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for prefix in ["", "..", "../../../outside", "."] {
        let instance = place.instance("blue");
        fs::create_dir_all(instance.path()).unwrap();
        let description = Description {
            file_prefix: prefix.into(),
            ..place.description("blue")
        };
        fs::write(
            instance.path().join("instance.json"),
            serde_json::to_string(&description).unwrap(),
        )
        .unwrap();
        assert_eq!(removed(&place.clean()), [instance.path()]);
    }
    assert!(outside.exists() && place.host.eal.exists());
}

#[test]
fn a_segment_of_a_process_that_is_gone_is_dead_and_one_of_a_live_one_is_not() {
    let place = place();
    // Segments are in the real /dev/shm; this test looks at its own alone and cleans nothing there.
    let name = format!("/tollgate-test-{}-clean", std::process::id());
    // A killed primary drops nothing.
    std::mem::forget(shm::DiscoveryPage::create(&name, None, "1").unwrap());
    let path = PathBuf::from("/dev/shm").join(&name[1..]);
    let scene = super::Scene {
        host: &place.host,
        dry_run: true,
        huge_dirs: Default::default(),
        holders: Default::default(),
    };
    assert!(
        !super::leftovers::is_dead_segment(&scene, &path, &name),
        "this process wrote it and lives"
    );
    // Start time of the writer, the fourth word.
    let page = OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&page, &1u64.to_ne_bytes(), 24).unwrap();
    let dead = super::leftovers::is_dead_segment(&scene, &path, &name);
    fs::write(&path, "something else").unwrap();
    let foreign = super::leftovers::is_dead_segment(&scene, &path, &name);
    shm::discovery::remove(&name);
    assert!(dead && !foreign);
}
