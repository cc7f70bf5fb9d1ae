use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use ike_engine::{Identity, LocalAuth, RemoteAuth, StartAction};
use ikev2::wire::IdType;

use super::*;

mod authentication;

/// A folder with a key, and the file of a configuration in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("pr1.psk");
    fs::write(&key, "Vpp123\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let file = folder.path().join("ike.toml");
    (folder, file)
}

const CHILD: &str =
    "[[profile.child]]\ntunnel = \"ipsec0\"\nlocal_ts = [\"10.1.0.0/16\"]\nremote_ts = [\"10.2.0.0/16\"]\n";

fn profile(more: &str) -> String {
    format!(
        "[[profile]]\nname = \"pr1\"\nlocal_address = \"192.0.2.1\"\nremote_address = \"198.51.100.1\"\npsk_file = \"pr1.psk\"\n{more}\n"
    )
}

fn faults(text: &str) -> String {
    let (_folder, file) = folder();
    match Config::read(text, &file) {
        Ok(config) => panic!("nothing is wrong: {config:?}"),
        Err(errors) => errors
            .to_string()
            .replace(&file.display().to_string(), "ike.toml"),
    }
}

#[test]
fn a_profile_has_what_the_file_says() {
    let (_folder, file) = folder();
    let text = r#"
        [ike]
        cookie_threshold    = 5
        max_ike_per_peer    = 3
        retransmit_first    = "200ms"
        retransmit_attempts = 4
        fragment_size       = 1280

        [[profile]]
        name           = "pr1"
        local_address  = "2001:db8::1"
        remote_address = "2001:db8::2"
        local_id       = "gw.example.org"
        remote_id      = "keyid:0x0aff"
        auth           = "psk"
        psk_file       = "pr1.psk"
        ike_proposals  = ["aes256gcm16-prfsha256-modp2048", "aes128-sha256-ecp256"]
        rekey_time     = "2h"
        rekey_jitter   = "10m"
        life_time      = "3h"
        dpd_delay      = "10s"
        childless      = true
        start          = "start"

        [[profile.child]]
        name          = "net"
        tunnel        = "ipsec0"
        esp_proposals = ["aes256gcm16-esn", "aes128-sha256-ecp256"]
        local_ts      = ["192.168.5.0/24", "fec5::/16[udp/53]"]
        remote_ts     = ["192.168.3.1-192.168.3.9[tcp/1024-65535]", "fec3::1"]
        rekey_bytes   = 1000000
        life_packets  = 5000

        [[profile.child]]
        tunnel    = "ipsec1"
        local_ts  = ["0.0.0.0/0"]
        remote_ts = ["0.0.0.0/0"]
    "#;
    let config = Config::read(text, &file).unwrap();
    let settings = config.settings;
    assert_eq!(
        (
            settings.cookie_threshold,
            settings.max_ike_per_peer,
            settings.fragment_len,
            settings.retransmission.attempts
        ),
        (5, 3, 1232, 4)
    );
    assert_eq!(settings.retransmission.first, Duration::from_millis(200));
    let [profile] = &config.profiles[..] else {
        panic!("{config:?}");
    };
    assert_eq!(profile.local_id, Identity::fqdn("gw.example.org"));
    assert_eq!(profile.remote_id, Some(Identity::key_id(&[0x0a, 0xff])));
    let LocalAuthConfig::Psk(psk) = &profile.auth.local else {
        panic!("{profile:?}");
    };
    assert_eq!(psk.bytes(), b"Vpp123");
    assert_eq!(profile.proposals[1].to_string(), "aes128-sha256-prfsha256-ecp256");
    let lifetime = profile.lifetime;
    assert_eq!(
        [lifetime.soft, lifetime.jitter, lifetime.hard].map(|time| time.as_secs()),
        [7200, 600, 10_800]
    );
    assert_eq!((profile.dpd_delay.as_secs(), profile.childless), (10, true));
    assert_eq!(profile.start, StartAction::Start);
    let net = config.child("pr1", "net").unwrap();
    let words = |selectors: &[ikev2::wire::TrafficSelector]| -> Vec<String> {
        selectors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        words(&net.local),
        [
            "192.168.5.0-192.168.5.255",
            "fec5::-fec5:ffff:ffff:ffff:ffff:ffff:ffff:ffff[17/53]"
        ]
    );
    assert_eq!(
        words(&net.remote),
        ["192.168.3.1-192.168.3.9[6/1024-65535]", "fec3::1"]
    );
    assert_eq!((net.soft.bytes, net.hard.packets), (Some(1_000_000), Some(5000)));
    assert_eq!(
        config.child("pr1", "ipsec1").unwrap().lifetime.hard,
        Duration::from_secs(3960)
    );
    let engine = &config.engine_profiles()[0];
    let (LocalAuth::Psk(ours), RemoteAuth::Psk(theirs)) = (&engine.local_auth, &engine.remote_auth) else {
        panic!("{engine:?}");
    };
    assert_eq!((ours.expose(), theirs.expose()), (&b"Vpp123"[..], &b"Vpp123"[..]));
    assert_eq!(engine.children.len(), 2);
    assert!(!format!("{config:?}").contains("Vpp"));
}

#[test]
fn identities_are_what_they_look_like_or_what_is_said() {
    let (_folder, file) = folder();
    for (text, kind, data) in [
        ("192.0.2.9", IdType::IPV4_ADDR, &[192, 0, 2, 9][..]),
        ("ipv4:192.0.2.9", IdType::IPV4_ADDR, &[192, 0, 2, 9]),
        ("gw.example.org", IdType::FQDN, b"gw.example.org"),
        ("fqdn:a@b", IdType::FQDN, b"a@b"),
        ("a@example.org", IdType::RFC822_ADDR, b"a@example.org"),
        ("keyid:depot 7", IdType::KEY_ID, b"depot 7"),
    ] {
        let text = format!("{}{CHILD}", profile(&format!("remote_id = \"{text}\"")));
        let config = Config::read(&text, &file).unwrap();
        let expected = Identity {
            kind,
            data: data.to_vec(),
        };
        assert_eq!(config.profiles[0].remote_id, Some(expected));
    }
    // Where nothing is said, they are the addresses.
    let config = Config::read(&format!("{}{CHILD}", profile("")), &file).unwrap();
    let address = |text: &str| Identity::address(text.parse().unwrap());
    assert_eq!(config.profiles[0].local_id, address("192.0.2.1"));
    assert_eq!(config.profiles[0].remote_id, Some(address("198.51.100.1")));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("", "ike.toml: there is no profile"),
        (
            "[[profil]]\n",
            "ike.toml:1:3: unknown section 'profil' in the file: did you mean 'profile'?",
        ),
        (
            &format!("{}{CHILD}", profile("remote_adress = \"192.0.2.2\"")),
            "ike.toml:6:1: unknown key 'remote_adress' in [[profile]]: did you mean 'remote_address'?",
        ),
        (
            &format!("{}{}", profile(""), CHILD.replace("local_ts", "lokal_ts")),
            "ike.toml:9:1: unknown key 'lokal_ts' in [[profile.child]]: did you mean 'local_ts'?",
        ),
        (&profile(""), "ike.toml:1:1: the profile protects nothing"),
        (
            &format!("{}{CHILD}", profile("ike_proposals = [\"aes256gcm17-modp2048\"]")),
            "ike.toml:6:18: ike_proposals: 'aes256gcm17' is no algorithm",
        ),
        (
            &format!("{}{CHILD}", profile("ike_proposals = [\"aes128-sha1-modp2048\"]")),
            "ike_proposals: sha1 cannot be used here",
        ),
        (
            &format!("{}{CHILD}esp_proposals = [\"aes192-sha256\"]", profile("")),
            "esp_proposals: 'aes192-sha256' is no transform; write one of aes128gcm16",
        ),
        (
            &format!("{}{CHILD}", profile("start = \"route\"")),
            "ike.toml:6:9: start = \"route\" is nothing",
        ),
        (
            &format!("{}{CHILD}", profile("dpd_action = \"hold\"")),
            "ike.toml:6:14: dpd_action = \"hold\" is nothing that can be done: use restart,",
        ),
        (
            &format!("{}{CHILD}", profile("auth = \"pubkey\"")),
            "auth = \"pubkey\" is no way to authenticate: write \"psk\", and psk_file, or \"certificate\"",
        ),
        (
            &format!("{}{CHILD}", profile("dpd_delay = \"soon\"")),
            "'soon' is no time: write one like \"30s\"",
        ),
        (
            &format!("{}{CHILD}", profile("rekey_time = \"1h\"\nlife_time = \"30m\"")),
            "life_time longer: change one of them",
        ),
        (
            &format!("{}{}", profile(""), CHILD.replace("10.1.0.0/16", "10.1.0.0/33")),
            "'10.1.0.0/33' is no traffic selector",
        ),
        (
            &format!(
                "{}{}",
                profile(""),
                CHILD.replace("10.1.0.0/16", "10.9.0.0-10.1.0.0")
            ),
            "'10.9.0.0-10.1.0.0' is no traffic selector",
        ),
        (
            &format!("{}{}", profile(""), CHILD.replace("10.1.0.0/16", "2001:db8::/32")),
            "local_ts and remote_ts have no family in common",
        ),
        (
            &format!("{}{CHILD}{CHILD}", profile("")),
            "another child has tunnel ipsec0 already",
        ),
        (
            &format!(
                "{}{CHILD}{}{}",
                profile(""),
                profile(""),
                CHILD.replace("ipsec0", "ipsec1")
            ),
            "there is a profile 'pr1' already",
        ),
        (
            &format!("{}{CHILD}", profile("").replace("198.51.100.1", "2001:db8::1")),
            "write two addresses of one family",
        ),
        (
            &format!("{}{CHILD}", profile("").replace("pr1.psk", "pr2.psk")),
            "ike.toml:5:12: cannot read the key in ",
        ),
        (
            &format!("[ike]\nfragment_size = 100\n{}{CHILD}", profile("")),
            "ike.toml:2:17: fragment_size = 100",
        ),
    ] {
        let said = faults(text);
        assert!(said.contains(expected), "{text}\n{said}\n{expected}");
    }
    for (line, is_right) in [
        ("start = \"start\"", false),
        ("start = \"trap\"", false),
        ("dpd_action = \"restart\"", false),
        ("dpd_action = \"trap\"", false),
        ("dpd_action = \"clear\"", true),
        ("start = \"none\"", true),
    ] {
        let anybody = profile(line).replace("remote_address = \"198.51.100.1\"\n", "");
        let (_folder, file) = folder();
        let said = Config::read(&format!("{anybody}{CHILD}"), &file)
            .err()
            .map(|said| said.to_string());
        let key = line.split(' ').next().unwrap();
        let expected = format!("this {key} needs to know where the peer is: add remote_address");
        assert_eq!(said.is_none(), is_right, "{line}: {said:?}");
        assert!(said.is_none_or(|said| said.contains(&expected)), "{line}");
    }
}

#[test]
fn what_becomes_of_a_profile_whose_peer_is_dead_is_what_start_says_or_dpd_action() {
    let (_folder, file) = folder();
    for (lines, start, action) in [
        ("", "none", "clear"),
        ("start = \"start\"", "start", "restart"),
        ("start = \"trap\"", "trap", "trap"),
        ("start = \"start\"\ndpd_action = \"clear\"", "start", "clear"),
        ("dpd_action = \"restart\"", "none", "restart"),
        ("dpd_action = \"trap\"", "none", "trap"),
    ] {
        let config = Config::read(&format!("{}{CHILD}", profile(lines)), &file).unwrap();
        let profile = &config.profiles[0];
        assert_eq!((profile.start_word(), profile.dpd_action_word()), (start, action));
    }
}

#[test]
fn keys_are_text_or_hex_digits_in_a_file_that_nobody_else_may_read() {
    let (folder, _) = folder();
    let path = folder.path().join("pr1.psk");
    for (text, expected) in [
        ("Vpp123\n", Some(&b"Vpp123"[..])),
        ("  spaces stay  ", Some(b"  spaces stay  ")),
        ("0x0aFF\r\n", Some(&[0x0a, 0xff])),
        ("0x0aF\n", None),
        ("0x0aXY", None),
        ("\n", None),
        ("", None),
        (&"x".repeat(1025), None),
    ] {
        fs::write(&path, text).unwrap();
        let read = key::read(&path);
        assert_eq!(read.as_ref().ok().map(Psk::bytes), expected, "{text:?}");
        // Nothing of it is repeated.
        assert!(
            read.err()
                .is_none_or(|error| !error.contains("0a") && !error.contains("xxx"))
        );
    }
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let said = key::read(&path).unwrap_err();
        assert!(
            said.contains(&format!("its mode {mode:04o} lets others at it")),
            "{said}"
        );
    }
}

#[test]
fn the_example_is_right() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ike.toml");
    let text = fs::read_to_string(example).unwrap();
    let (folder, file) = folder();
    let config = Config::read(&text, &file).unwrap();
    assert_eq!(config.profiles[0].name, "pr1");
    drop(folder);
}
