//! `[crypto]`, and when its devices are opened.

use super::*;

#[test]
fn devices_are_those_of_the_cpu_unless_others_are_named() {
    let devices = |more: &str| parse(&format!("{GOOD}\n{more}")).unwrap().crypto.devices;
    assert_eq!(devices(""), ["crypto_aesni_gcm0", "crypto_aesni_mb0"]);
    assert_eq!(devices("[crypto]"), devices(""));
    assert_eq!(
        devices("[crypto]\ndevices = [\"crypto_aesni_mb1,socket_id=0\"]"),
        ["crypto_aesni_mb1,socket_id=0"]
    );
}

#[test]
fn devices_that_cannot_be_are_refused_where_they_are_written() {
    for (devices, needle, parts) in [
        ("[]", "[crypto]", &["devices in [crypto] names none"][..]),
        (
            "[\"crypto_aesni_mb0\", \"net_null0\"]",
            "\"net_null0",
            &["'net_null0' in devices of [crypto]", "driver and number"],
        ),
        (
            "[\"crypto_aesni_mb\"]",
            "\"crypto_aesni_mb\"",
            &["driver and number"],
        ),
        ("[\"0000:01:00.0\"]", "\"0000:01", &["driver and number"]),
        ("[\"crypto_aesni_mb0, a=1\"]", "\"crypto_aesni", &["blank"]),
        (
            "[\"crypto_null0\", \"crypto_null0,a=1\"]",
            "\"crypto_null0,a",
            &["has crypto_null0 twice"],
        ),
    ] {
        assert_added(&format!("[crypto]\ndevices = {devices}"), needle, parts);
    }
    assert_added("[crypto]\ndevices = 7", "7", &["a list of texts"]);
}

#[test]
fn sas_are_expected_where_a_file_says_how_many_or_has_a_tunnel_for_them() {
    let expects = |more: &str| parse(&format!("{GOOD}\n{more}")).unwrap().expects_sas();
    let tunnel = |mode: &str| {
        format!(
            "[[tunnel]]\nname = \"t0\"\nmode = \"{mode}\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\n"
        )
    };
    assert!(!expects(""));
    assert!(!expects("[limits]\nneighbors = 9\n"));
    assert!(expects("[limits]\nsas = 9\n"));
    assert!(!expects("[limits]\nsas = 0\n"));
    assert!(expects(&tunnel("esp")));
    assert!(!expects(&tunnel("ipip")));
    assert!(!expects(&format!("{}[limits]\nsas = 0\n", tunnel("esp"))));
}
