//! Certificates, with strongSwan as the other end, which is told which algorithm to sign with and to take alone.
//!
//! [`certificates.sh`](certificates.sh) makes them. That of a key for RSA is issued by an intermediate CA whose certificate is large:
//! IKE_AUTH of both ends goes in fragments then, through links of 1280 bytes.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tests::{Family, TwoGateways};

use crate::site::{TUNNEL, network};
use crate::strongswan::Site;

const MAKE: &str = include_str!("certificates.sh");
const IKE: &str = "aes256gcm16-prfsha256-ecp256";
const ESP: &str = "aes256gcm16-noesn";
/// What a link of IPv6 carries at least.
const MTU: u16 = 1280;

/// What the ends show, and what strongSwan is told about it.
#[derive(Clone, Copy)]
struct Shown {
    /// Ours and its.
    west: &'static str,
    east: &'static str,
    /// Lines of our profile.
    profile: &'static str,
    /// The algorithm of both ends, as strongSwan calls it.
    algorithm: &'static str,
}

/// The same kind at both ends.
fn both(kind: &'static str, profile: &'static str, algorithm: &'static str) -> Shown {
    Shown {
        west: kind,
        east: kind,
        profile,
        algorithm,
    }
}

/// The certificates of all ends.
fn make() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", MAKE]).current_dir(folder.path());
    let made = shell.stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    folder
}

/// Lines of a connection of strongSwan about both ends.
fn ends(shown: Shown) -> String {
    let Shown { east, algorithm, .. } = shown;
    let auth = format!("auth = ike:{algorithm}\n");
    format!(
        "local {{\n {auth} id = east.example.org\n certs = east-{east}.pem\n }}\n remote {{\n {auth} id = west.example.org\n }}\n"
    )
}

/// Gives both ends their certificates, and has them read everything again.
fn show(site: &Site, from: &Path, shown: Shown) {
    let west = shown.west;
    let auth = format!(
        "auth = \"certificate\"\ncertificate_file = \"west-{west}.pem\"\nkey_file = \"west-{west}.key\"\nca_file = \"root.pem\"\n"
    );
    show_by(site, from, shown, &auth, &ends(shown), "");
}

/// With these lines of our profile, and of strongSwan, about how both ends show who they are.
fn show_by(site: &Site, from: &Path, shown: Shown, auth: &str, ends: &str, secrets: &str) {
    let folder = site.files.path();
    let copy = |name: &str, to: &Path| fs::copy(from.join(name), to).map(drop).unwrap();
    let Shown {
        west, east, profile, ..
    } = shown;
    for name in [
        "root.pem",
        &format!("west-{west}.pem"),
        &format!("west-{west}.key"),
    ] {
        copy(name, &folder.join(name));
    }
    let list = |number| {
        Family::BOTH
            .map(|family| format!("\"{}\"", network(family, number)))
            .join(", ")
    };
    let text = format!(
        "[[profile]]\nname = \"pr1\"\nlocal_address = \"{}\"\nremote_address = \"{}\"\nlocal_id = \"west.example.org\"\n\
         remote_id = \"east.example.org\"\n{auth}ike_proposals = [\"{IKE}\"]\n{profile}\n[[profile.child]]\nname = \"net\"\ntunnel = \"{TUNNEL}\"\n\
         local_ts = [{}]\nremote_ts = [{}]\nesp_proposals = [\"{ESP}\"]\n",
        TwoGateways::outside(site.over, 1),
        TwoGateways::outside(site.over, 2),
        list(1),
        list(2)
    );
    fs::write(folder.join("1.toml"), text).unwrap();
    site.west.tell("ike reload");

    for (kind, names) in [
        ("x509ca", vec!["root.pem".to_owned()]),
        (
            "x509",
            vec![format!("east-{east}.pem"), "intermediate.pem".to_owned()],
        ),
        ("private", vec![format!("east-{east}.key")]),
    ] {
        let folder = site.peer.path(kind);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        names.iter().for_each(|name| copy(name, &folder.join(name)));
    }
    site.peer.connect(site.over, IKE, ESP, ends, secrets);
}

/// The sentence of what failed last.
fn last_failure(site: &Site) -> String {
    let details = site.west.ctl_json(&["ike", "show", "--details"]).unwrap();
    let sentence = details["failures"][0]["sentence"].as_str().unwrap().to_owned();
    let shown = site.west.tell("ike show");
    assert!(shown.contains(&sentence), "{shown}");
    sentence
}

fn start(over: Family) -> Site {
    let site = Site::create(over, IKE, ESP);
    site.peer.namespace.set_mtu("p0", MTU).unwrap();
    site
}

#[test]
fn every_kind_of_certificate_is_taken_in_both_roles() {
    let certificates = make();
    let site = start(Family::Ip6);
    for shown in [
        both("rsa", "", "rsa-sha256"),
        both("rsa", "rsa_padding = \"pss\"\n", "rsa/pss-sha256"),
        both("ecdsa256", "", "ecdsa-sha256"),
        both("ecdsa384", "", "ecdsa-sha384"),
        both("ed25519", "", "ed25519"),
        Shown {
            west: "ecdsa256",
            east: "ed25519",
            profile: "",
            algorithm: "pubkey",
        },
    ] {
        show(&site, certificates.path(), shown);
        for here in [true, false] {
            if here {
                site.initiate_here();
            } else {
                site.initiate_there();
            }
            site.wait_for_sas(2, &[]);
            site.ping(&["-c", "2", "-i", "0.05"]);
            let [sa] = &site.established()[..] else {
                panic!("{}", site.west.tell("ike show --details"));
            };
            assert_eq!(sa["remote_id"], "east.example.org");
            assert_eq!(sa["role"], if here { "initiator" } else { "responder" });
            site.west.tell("ike terminate pr1");
            site.wait_for_none();
        }
        let log = site.peer.log();
        if shown.algorithm == "rsa-sha256" {
            assert!(log.contains("splitting IKE message"), "{log}");
            assert!(log.contains("received fragment #2 of"), "{log}");
        }
    }
    site.west.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn one_end_has_a_certificate_and_the_other_a_key_in_both_roles() {
    let certificates = make();
    let site = start(Family::Ip4);
    let shown = both("ecdsa256", "", "pubkey");
    let secrets = "ike-1 {\n id-1 = east.example.org\n id-2 = west.example.org\n secret = \"Vpp123\"\n }\n";
    let certified = ends(shown);
    let (local, remote) = certified.split_once("remote").unwrap();
    let (local, remote) = (local.to_owned(), format!("remote{remote}"));
    let by_psk = |end: &str| {
        let ours = end.replace("auth = ike:pubkey", "auth = psk");
        ours.replace("certs = east-ecdsa256.pem\n", "")
    };
    for (auth, ends, words) in [
        (
            "remote_auth = \"certificate\"\npsk_file = \"1.psk\"\nca_file = \"root.pem\"\n",
            local.clone() + &by_psk(&remote),
            ["psk", "certificate"],
        ),
        (
            "local_auth = \"certificate\"\npsk_file = \"1.psk\"\ncertificate_file = \"west-ecdsa256.pem\"\n\
             key_file = \"west-ecdsa256.key\"\n",
            by_psk(&local) + &remote,
            ["certificate", "psk"],
        ),
    ] {
        show_by(&site, certificates.path(), shown, auth, &ends, secrets);
        let profile = &site.west.ctl_json(&["ike", "profile"]).unwrap()[0];
        assert_eq!([&profile["local_auth"], &profile["remote_auth"]], words);
        for here in [true, false] {
            if here {
                site.initiate_here();
            } else {
                site.initiate_there();
            }
            site.wait_for_sas(2, &[]);
            site.ping(&["-c", "2", "-i", "0.05"]);
            assert_eq!(site.established()[0]["remote_id"], "east.example.org");
            site.west.tell("ike terminate pr1");
            site.wait_for_none();
        }
        // Both by a key is not what this profile takes.
        let secret = ends.replace("auth = ike:pubkey", "auth = psk");
        site.peer.connect(site.over, IKE, ESP, &secret, secrets);
        let (code, refusal) = site.west.refusal("ike initiate pr1");
        assert_eq!(code, "failed", "{refusal}");
        assert_eq!(site.established().len(), 0);
    }
    site.west.counters_at_rest().unwrap().assert_balanced();
}

#[test]
fn why_a_certificate_is_not_taken_is_said() {
    let certificates = make();
    let site = start(Family::Ip4);
    let good = both("ecdsa256", "", "pubkey");
    for (east, expected) in [
        (
            "other",
            "the certificate of C=AQ, O=Tollgate tests, CN=east is issued by C=AQ, O=Others, CN=other root, and no chain leads from there \
             to a CA of ours: C=AQ, O=Tollgate tests, CN=root; add its CA",
        ),
        ("expired", "the certificate of CN=east expired "),
    ] {
        show(&site, certificates.path(), Shown { east, ..good });
        // By the one that answers as by the one that asks.
        let told = site
            .peer
            .swanctl(&["--initiate", "--child", "net", "--timeout", "5"]);
        assert!(!told.unwrap().status.success());
        let sentence = last_failure(&site);
        assert!(sentence.starts_with(expected), "{sentence}");
        let (code, refusal) = site.west.refusal("ike initiate pr1");
        assert_eq!(code, "failed");
        assert!(refusal.contains(expected), "{refusal}");
        site.wait_for_none();
    }
    // The other way round: strongSwan says to nobody why.
    show(
        &site,
        certificates.path(),
        Shown {
            west: "other",
            ..good
        },
    );
    let (_, refusal) = site.west.refusal("ike initiate pr1");
    assert!(
        refusal.contains("AUTHENTICATION_FAILED; compare identities, keys and certificates"),
        "{refusal}"
    );
    assert_eq!(site.established().len(), 0);
    // And what is right works after all of that.
    show(&site, certificates.path(), good);
    site.initiate_there();
    site.ping(&["-c", "2", "-i", "0.05"]);
}
