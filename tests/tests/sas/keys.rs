//! Keys: in one place each, which is locked and not dumped, and gone with their SA.

use std::{fs, io::Write};

use control::{
    client::{Client, MAX_FRAME},
    message::{Request, Sa},
};
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::AsRawFd;
use tests::{Privilege, Random, memory, wait_until};

use super::client::{frame, greeted, new, sa, say};
use super::{
    ADD, KEY_BYTES, LIMIT, builder, ctl_waiting_for_keys, directory, hex, key_file, keys_held, monitor,
    new_keys,
};

/// All that is not memory of the primary, and not the file that the keys came from.
fn assert_not_said(what: &str, text: &str, keys: &[u8]) {
    let list = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    for part in keys.chunks(6).filter(|part| part.len() == 6) {
        for form in [hex(part), hex(part).to_uppercase(), list(part)] {
            assert!(!text.contains(&form), "{what} has {form}: {text}");
        }
    }
}

#[test]
fn keys_are_in_locked_memory_that_is_not_dumped_and_nowhere_else() {
    let privilege = Privilege::detect();
    let mut primary = builder().log_level("debug,eal=info").start().unwrap();
    let pid = primary.process().pid();
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::printed("keys");
    let mut monitor = monitor(&primary);
    let keys = new_keys(&mut random);
    let file = key_file(folder.path(), "in.key", &keys);
    let find = |keys: &[u8]| memory::find(privilege, pid, keys).unwrap();
    assert_eq!(find(&keys), []);
    primary.tell(&format!("-vv {ADD} {}", file.display()));
    let found = find(&keys);
    let [place] = &found[..] else {
        panic!("they are in one place, which is not in the table region: {found:?}");
    };
    for flag in ["lo", "dd", "dc"] {
        assert!(place.flags.iter().any(|found| found == flag), "{flag}: {place:?}");
    }
    assert_eq!(place.file, "", "of the primary alone");
    // Nor is half of them anywhere else.
    for part in [&keys[..16], &keys[KEY_BYTES - 16..]] {
        assert_eq!(find(part).len(), 1);
    }

    // From stdin: what others see of the tool has none.
    let other = new_keys(&mut random);
    let mut child = ctl_waiting_for_keys(
        &primary,
        &ADD.replacen("0x1000", "0x1001", 1).replacen("keys", "keys -", 1),
    );
    let words = wait_until("that it waits", LIMIT, || {
        let words = fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
        Ok(words.contains("keys\0-").then_some(words))
    })
    .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(hex(&other).as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_not_said("the command line", &words, &other);

    primary.tell("sa del spi 0x1000 dst 192.0.2.1");
    assert_eq!(find(&keys), [], "wiped when their SA went");
    assert_eq!(find(&other).len(), 1);
    let third = new_keys(&mut random);
    let file = key_file(folder.path(), "third.key", &third);
    let replace = ADD.replacen("add spi 0x1000", "replace spi 0x1001", 1);
    primary.tell(&format!("{replace} {}", file.display()));
    assert_eq!((find(&other), find(&third).len()), (vec![], 1));

    // What is refused, or not understood, leaves none either.
    let refused = new_keys(&mut random);
    let mut client = Client::connect(&directory(&primary), "tests").unwrap();
    let add = |sa: Sa| Request::SaAdd {
        sas: vec![new(sa, &refused)],
        replace: false,
    };
    client.call(add(sa(0x1001, 0))).unwrap_err();
    client.call(add(sa(7, 0))).unwrap_err();
    let whole = frame(add(sa(0x5000, 0)));
    for bytes in [&whole[..whole.len() - 1], &[whole.as_slice(), b"more"].concat()] {
        let socket = greeted(&primary);
        say(&socket, bytes);
        recv(socket.as_raw_fd(), &mut vec![0; MAX_FRAME], MsgFlags::empty()).unwrap();
    }
    assert_eq!(find(&refused), []);
    assert_eq!(keys_held(&primary), 1);

    let config = primary
        .ctl(&["config", "show"])
        .unwrap()
        .success()
        .unwrap()
        .stdout;
    let sas = primary.ctl(&["--json", "sa"]).unwrap().success().unwrap().stdout;
    monitor
        .wait_for_stdout("that it was replaced", LIMIT, |line| {
            line.contains("\"replaced\"")
        })
        .unwrap();
    let events = monitor.stdout();
    let log = primary.process().stderr();
    assert!(log.contains("tollgate-ctl (pid"), "requests are logged: {log}");
    for keys in [&keys, &other, &third, &refused] {
        for (what, text) in [
            ("the configuration", &config),
            ("the table", &sas),
            ("an event", &events),
            ("the log", &log),
        ] {
            assert_not_said(what, text, keys);
        }
    }
    primary.tell("sa flush");
    assert_eq!(find(&third), []);
}
