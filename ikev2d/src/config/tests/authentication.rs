//! How both ends show who they are.

use super::*;

/// The files of a profile with certificates, those of the tests of lib/ikev2.
fn certificates(folder: &std::path::Path) {
    let files = [
        (
            "gw.pem",
            &include_bytes!("../../../../lib/ikev2/tests/certificates/left-rsa.pem")[..],
        ),
        (
            "gw.key",
            include_bytes!("../../../../lib/ikev2/tests/certificates/left-rsa.key"),
        ),
        (
            "other.key",
            include_bytes!("../../../../lib/ikev2/tests/certificates/right-rsa.key"),
        ),
        (
            "ca.pem",
            include_bytes!("../../../../lib/ikev2/tests/certificates/root.pem"),
        ),
    ];
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

const FILES: &str =
    "auth = \"certificate\"\ncertificate_file = \"gw.pem\"\nkey_file = \"gw.key\"\nca_file = \"ca.pem\"\n";

fn certified(more: &str) -> String {
    let without = profile("").replace("psk_file = \"pr1.psk\"\n\n", "");
    format!("{without}{more}{CHILD}")
}

#[test]
fn certificates_are_read_from_files_and_the_same_ones_are_equal() {
    let (folder, file) = folder();
    certificates(folder.path());
    let names = "local_id = \"C=AQ, O=Tollgate tests, CN=left\"\nremote_id = \"right.example.org\"\n";
    let read = |more: &str| Config::read(&certified(&format!("{FILES}{names}{more}")), &file).unwrap();
    let config = read("");
    let engine = &config.engine_profiles()[0];
    let ike_engine::LocalAuth::Signature(credentials) = &engine.local_auth else {
        panic!("{:?}", engine.local_auth);
    };
    assert_eq!(
        credentials.leaf().unwrap().to_string(),
        engine.local_id.to_string()
    );
    assert!(matches!(engine.remote_auth, ike_engine::RemoteAuth::Signature(_)));
    assert_eq!(config.profiles[0].auth.words(), ["certificate"; 2]);
    assert_eq!(config.profiles[0], read("").profiles[0]);
    assert_eq!(config.profiles[0], read("rsa_padding = \"pkcs1\"\n").profiles[0]);
    assert_ne!(config.profiles[0], read("rsa_padding = \"pss\"\n").profiles[0]);
    assert!(!format!("{config:?}").contains("BEGIN"));
}

#[test]
fn each_end_shows_who_it_is_in_its_own_way() {
    let (folder, file) = folder();
    certificates(folder.path());
    let read = |more: &str| Config::read(&certified(more), &file).unwrap();
    let local = "local_auth = \"certificate\"\ncertificate_file = \"gw.pem\"\nkey_file = \"gw.key\"\npsk_file = \"pr1.psk\"\n";
    let remote = "remote_auth = \"certificate\"\nca_file = \"ca.pem\"\npsk_file = \"pr1.psk\"\n";
    let config = read(&format!("{local}rsa_padding = \"pss\"\n"));
    assert_eq!(config.profiles[0].auth.words(), ["certificate", "psk"]);
    let engine = &config.engine_profiles()[0];
    let (LocalAuth::Signature(_), RemoteAuth::Psk(psk)) = (&engine.local_auth, &engine.remote_auth) else {
        panic!("{engine:?}");
    };
    assert_eq!(psk.expose(), b"Vpp123");
    let config = read(remote);
    assert_eq!(config.profiles[0].auth.words(), ["psk", "certificate"]);
    let engine = &config.engine_profiles()[0];
    let (LocalAuth::Psk(psk), RemoteAuth::Signature(_)) = (&engine.local_auth, &engine.remote_auth) else {
        panic!("{engine:?}");
    };
    assert_eq!(psk.expose(), b"Vpp123");
    assert_eq!(read(remote), read(remote));
    assert_ne!(read(remote).profiles[0], read(local).profiles[0]);
    // Both said one by one are what `auth` says of both.
    let each = FILES.replace("auth = ", "local_auth = \"certificate\"\nremote_auth = ");
    assert_eq!(read(&each), read(FILES));
    // What is not needed, or missing, is said at its place.
    for (text, expected) in [
        (
            "auth = \"psk\"\npsk_file = \"pr1.psk\"\nremote_auth = \"psk\"\n".to_owned(),
            "ike.toml:7:15: auth is for both ends already: leave it out, and write local_auth and remote_auth",
        ),
        (
            format!("{remote}key_file = \"gw.key\"\n"),
            "ike.toml:8:12: key_file counts with local_auth = \"certificate\" alone: write that, or leave key_file out",
        ),
        (
            format!("{local}ca_file = \"ca.pem\"\n"),
            "ike.toml:9:11: ca_file counts with remote_auth = \"certificate\" alone: write that, or leave ca_file out",
        ),
        (
            format!("{FILES}psk_file = \"pr1.psk\"\n"),
            "ike.toml:9:12: psk_file counts with local_auth = \"psk\" or remote_auth = \"psk\" alone",
        ),
        (
            local.replace("psk_file = \"pr1.psk\"\n", ""),
            "ike.toml:1:1: [[profile]] has no psk_file: write psk_file = \"pr1.psk\"",
        ),
        (
            "remote_auth = \"pubkey\"\n".to_owned(),
            "ike.toml:5:15: remote_auth = \"pubkey\" is no way to authenticate: write \"psk\"",
        ),
    ] {
        let said = Config::read(&certified(&text), &file).unwrap_err().to_string();
        let said = said.replace(&file.display().to_string(), "ike.toml");
        assert!(said.contains(expected), "{text}\n{said}\n{expected}");
        assert!(!said.contains("unknown key"), "{said}");
    }
}

#[test]
fn what_is_wrong_with_files_of_certificates_is_said_at_their_line() {
    let (folder, file) = folder();
    certificates(folder.path());
    for (from, to, sentence) in [
        ("gw.pem", "none.pem", "none.pem: No such file"),
        (
            "gw.pem",
            "gw.key",
            "gw.key: the file has no PEM block CERTIFICATE",
        ),
        (
            "gw.key",
            "other.key",
            "the private key is not that of the certificate of C=AQ, O=Tollgate tests, CN=left",
        ),
        (
            "gw.key",
            "ca.pem",
            "ca.pem: the file has no PEM block PRIVATE KEY",
        ),
        ("ca.pem", "gw.pem", "is none of a CA"),
        ("ca_file = \"ca.pem\"\n", "", "ca_file"),
        (
            "ca.pem\"\n",
            "ca.pem\"\nrsa_padding = \"oaep\"\n",
            "write pkcs1, or pss",
        ),
        (
            "ca.pem\"\n",
            "ca.pem\"\nlocal_id = \"ZZ=left\"\n",
            "C=AQ, O=Example",
        ),
    ] {
        let text = certified(&FILES.replacen(from, to, 1));
        let told = Config::read(&text, &file).unwrap_err().to_string();
        assert!(told.contains(sentence), "{to}: {told}");
    }
    fs::set_permissions(folder.path().join("gw.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let told = Config::read(&certified(FILES), &file).unwrap_err().to_string();
    assert!(told.contains("is not secret: its mode 0640"), "{told}");
}
