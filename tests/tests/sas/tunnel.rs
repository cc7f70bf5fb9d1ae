//! SAs of protected tunnels that cannot be made: nothing changes.

use std::fs;

use control::{
    client::Client,
    message::{Request, SaDirection},
};
use serde_json::Value;
use tempfile::TempDir;
use tests::{Primary, Random};

use super::client::{new, sa};
use super::{builder, directory, hex, key_file, keys_held, new_keys};

/// A protected tunnel between the ends of the other tests' SAs.
pub(crate) const TUNNEL: &str = "[[tunnel]]\nname = \"ipsec0\"\nmode = \"esp\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\nunnumbered = \"n0\"\n";

/// SPI and transform of those that there are.
fn transforms(primary: &Primary) -> Vec<(u64, String)> {
    let shown = primary.ctl_json(&["sa", "show"]).unwrap();
    let of = |sa: &Value| {
        let transform = sa["transform"].as_str().unwrap().to_owned();
        (sa["spi"].as_u64().unwrap(), transform)
    };
    shown.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn an_sa_that_no_device_does_leaves_all_as_it_was() {
    // It does GCM alone.
    let only_gcm = "[crypto]\ndevices = [\"crypto_aesni_gcm0\"]\n";
    let primary = builder().toml(&format!("{only_gcm}{TUNNEL}")).start().unwrap();
    let folder = TempDir::new().unwrap();
    let mut random = Random::printed("keys");
    let ends = "in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0";
    let keys = key_file(folder.path(), "gcm", &new_keys(&mut random));
    primary.tell(&format!(
        "sa add spi 0x1000 {ends} transform aes256gcm16 keys {}",
        keys.display()
    ));
    let there = [(0x1000, "aes256gcm16".to_owned())];
    assert_eq!(transforms(&primary), there);
    let bytes: Vec<u8> = (0..48).map(|_| random.below(256) as u8).collect();
    let path = key_file(folder.path(), "cbc", &bytes);
    assert_eq!(fs::read_to_string(&path).unwrap(), hex(&bytes));
    let (code, message) = primary.refusal(&format!(
        "sa replace spi 0x1000 {ends} transform aes128-sha256 keys {}",
        path.display()
    ));
    assert_eq!(code, "failed");
    assert!(
        message.starts_with(
            "the SA with SPI 0x00001000 to 192.0.2.1 cannot be made, and nothing is changed: no crypto device does aes128-sha256: \
             name one that does in devices of [crypto]"
        ),
        "{message}"
    );
    // Of several, the good ones before it are not there either.
    let with = |spi, transform: &str, keys: &[u8]| {
        let mut sa = sa(spi, 0);
        sa.tunnel = Some("ipsec0".to_owned());
        sa.transform = transform.to_owned();
        new(sa, keys)
    };
    let mut out = with(0x2001, "aes256gcm16", &new_keys(&mut random));
    out.sa.direction = SaDirection::Out;
    (out.sa.source, out.sa.destination) = (out.sa.destination, out.sa.source);
    let sas = vec![
        with(0x1000, "aes256gcm16", &new_keys(&mut random)),
        out,
        with(0x2000, "aes128-sha256", &bytes),
    ];
    let mut client = Client::connect(&directory(&primary), "tests").unwrap();
    client.call(Request::SaAdd { sas, replace: true }).unwrap_err();
    assert_eq!(transforms(&primary), there);
    assert_eq!(keys_held(&primary), 1);
}

#[test]
fn a_device_that_works_beside_the_cpu_is_refused_when_an_sa_needs_it() {
    let devices = "[crypto]\ndevices = [\"crypto_null0\"]\n";
    let primary = builder().toml(&format!("{devices}{TUNNEL}")).start().unwrap();
    let folder = TempDir::new().unwrap();
    let keys = key_file(folder.path(), "keys", &new_keys(&mut Random::printed("keys")));
    let (code, message) = primary.refusal(&format!(
        "sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes256gcm16 keys {}",
        keys.display()
    ));
    assert_eq!(code, "failed");
    assert!(
        message.contains("crypto_null0 does not work on the CPU of a worker"),
        "{message}"
    );
    assert_eq!(transforms(&primary), []);
}
