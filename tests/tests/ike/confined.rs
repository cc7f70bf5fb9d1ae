//! What a daemon may do that runs, and that it does all of its work with that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use tempfile::TempDir;
use tests::{Family, Primary, Process, wait_until};

use crate::site::{Changes, LIMIT, Site, configure, tunnel_toml};

/// A user of every Debian, the only one in its group.
const USER: (&str, u32, &str) = ("nobody", 65534, "nogroup");

/// CAP_IPC_LOCK alone.
const IPC_LOCK: &str = "0000000000004000";

/// A line of the state of a thread, proc_pid_status(5).
fn line(status: &str, key: &str) -> String {
    let found = status.lines().find_map(|line| line.strip_prefix(key));
    found.unwrap().trim_start_matches(':').trim().to_owned()
}

/// All threads of a daemon have only the rights that they need, and are of this user.
#[track_caller]
fn assert_confined(daemon: &Process, uid: u32) {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let mut count = 0;
    for thread in threads {
        // One for a tool may have ended.
        let Ok(status) = fs::read_to_string(thread.unwrap().path().join("status")) else {
            continue;
        };
        count += 1;
        for (key, expected) in [
            ("Seccomp", "2"),
            ("NoNewPrivs", "1"),
            ("CapEff", IPC_LOCK),
            ("CapPrm", IPC_LOCK),
            ("CapInh", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
        ] {
            assert_eq!(line(&status, key), expected, "{key}:\n{status}");
        }
        let uids = [uid; 4].map(|uid| uid.to_string()).join("\t");
        assert_eq!(line(&status, "Uid"), uids, "{status}");
    }
    assert!(count >= 3, "the work, events and tools have threads: {count}");
}

#[test]
fn a_daemon_that_runs_has_no_rights_but_those_that_it_needs() {
    let site = Site::create(Family::Ip4);
    let daemons = site.daemons(Changes::default());
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    for daemon in &daemons {
        assert_confined(daemon, 0);
        assert!(
            !daemon.stderr().contains("may get into swap"),
            "{}",
            daemon.stderr()
        );
    }
    // What it may do still is to read its files again.
    let config = site.configure(
        1,
        Changes {
            profile: "dpd_delay = \"7s\"\n",
            ..Changes::default()
        },
    );
    site.west.tell("ike reload");
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    // A name would have to be asked for.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("remote_address = \"10.0.0.2\"", "remote_address = \"gw.example\""),
    )
    .unwrap();
    let refused = site.west.ctl(&["ike", "reload"]).unwrap();
    assert!(!refused.status.success());
    assert!(
        refused
            .stderr
            .contains("'gw.example' is looked up only when the daemon starts"),
        "{refused:?}"
    );
    site.warm_up();
    for family in Family::BOTH {
        site.ping(family, &["-c", "3", "-i", "0.05"]);
    }
}

/// Starts the daemon of the first gateway as another user.
fn daemon_as(user: &str, primary: &Primary, config: &Path) -> Process {
    let words = ["--config", config.to_str().unwrap(), "--user", user];
    let tool = primary.tool("negotiates", "tollgate-ikev2d", &words);
    let mut daemon = tool.unwrap().start().unwrap();
    daemon
        .wait_for_stderr("attached", LIMIT, |line| line.starts_with("attached to instance"))
        .unwrap();
    daemon
}

#[test]
fn another_user_than_root_does_all_of_the_work() {
    let (user, uid, group) = USER;
    let shared = TempDir::new().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let run_dir = shared.path().join("run");
    let mut site = Site::create_with(Family::Ip4, |primary| primary.run_dir(&run_dir).group(group));
    let config = configure(shared.path(), Family::Ip4, 1, Changes::default());
    // The key is root's still.
    let words = ["--config", config.to_str().unwrap(), "--user", user];
    let mut refused = site
        .west
        .tool("must not negotiate", "tollgate-ikev2d", &words)
        .unwrap()
        .start()
        .unwrap();
    assert_eq!(refused.wait(LIMIT).unwrap().code(), Some(2));
    assert!(
        refused.stderr().contains("cannot read the key"),
        "{}",
        refused.stderr()
    );
    chown(shared.path().join("1.psk"), Some(uid), None).unwrap();

    let mut west = daemon_as(user, &site.west, &config);
    let _east = site.daemon(2, Changes::default());
    site.west.tell("ike initiate pr1");
    site.wait_for_one_pair();
    site.warm_up();
    assert_confined(&west, uid);
    site.west.tell("ike reload");
    // The next one of that user goes on.
    west.kill();
    west = daemon_as(user, &site.west, &config);
    assert!(
        west.stderr().contains("takes up 1 IKE SA of the daemon before"),
        "{}",
        west.stderr()
    );
    assert!(!west.stderr().contains("may get into swap"), "{}", west.stderr());
    // And so it does at the next primary.
    let before = site.spis(2);
    let gateway = fs::read_to_string(site.west.config_path()).unwrap();
    assert!(gateway.contains(&tunnel_toml(Family::Ip4, 1)));
    site.west.kill();
    west.wait_for_stderr("the end of the primary", LIMIT, |line| {
        line.contains("tunnels are set up again")
    })
    .unwrap();
    let builder = Primary::builder(site.host_a.privilege(), "west")
        .config(&gateway)
        .run_dir(&run_dir);
    site.west = builder.start_after(site.west).unwrap();
    wait_until("that other SAs are there", LIMIT, || {
        Ok((site.spis(2) != before).then_some(()))
    })
    .unwrap();
    site.wait_for_one_pair();
    site.warm_up();
    site.west.tell("ike rekey pr1 --ike");
    assert_eq!(site.details(1)["attached"], true);
    assert_confined(&west, uid);
    site.west.tell("ike terminate pr1");
    site.wait_for_none();
}
