//! SAs of both ends, and the kernel's policies.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use serde_json::Value;
use tests::Family;

use crate::peer::{Peer, end, inside, net};

/// The protected tunnel here.
pub(crate) const TUNNEL: &str = "ipsec0";

/// A transform: its name here, the bytes of its cipher's key, the kernel's words for the cipher, and if integrity is apart the bytes of its
/// key, the kernel's name and the bits of its ICV.
pub(crate) struct Transform {
    pub(crate) name: &'static str,
    key: usize,
    cipher: &'static str,
    integrity: Option<(usize, &'static str, u16)>,
}

const fn combined(name: &'static str, key: usize, cipher: &'static str) -> Transform {
    Transform {
        name,
        key,
        cipher,
        integrity: None,
    }
}

const fn apart(name: &'static str, key: usize, hash: (usize, &'static str, u16)) -> Transform {
    Transform {
        name,
        key,
        cipher: if key == 0 { "ecb(cipher_null)" } else { "cbc(aes)" },
        integrity: Some(hash),
    }
}

const GCM: &str = "rfc4106(gcm(aes))";
const SHA256: (usize, &str, u16) = (32, "hmac(sha256)", 128);
const SHA384: (usize, &str, u16) = (48, "hmac(sha384)", 192);
const SHA512: (usize, &str, u16) = (64, "hmac(sha512)", 256);

pub(crate) const TRANSFORMS: [Transform; 13] = [
    combined("aes128gcm16", 20, GCM),
    combined("aes192gcm16", 28, GCM),
    combined("aes256gcm16", 36, GCM),
    combined("chacha20poly1305", 36, "rfc7539esp(chacha20,poly1305)"),
    apart("aes128-sha256", 16, SHA256),
    apart("aes256-sha256", 32, SHA256),
    apart("aes256-sha384", 32, SHA384),
    apart("aes256-sha512", 32, SHA512),
    apart("aes128-sha384", 16, SHA384),
    apart("aes128-sha512", 16, SHA512),
    apart("null-sha256", 0, SHA256),
    apart("null-sha384", 0, SHA384),
    apart("null-sha512", 0, SHA512),
];

/// The one that is used where it does not matter which.
pub(crate) const USUAL: &Transform = &TRANSFORMS[2];

/// An SA of both ends: one direction.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'t> {
    pub(crate) spi: u32,
    /// To the guest, or back.
    pub(crate) to_guest: bool,
    pub(crate) transform: &'t Transform,
    pub(crate) esn: bool,
    pub(crate) udp: bool,
    /// As both ends call it.
    pub(crate) mode: &'static str,
    /// More words for the end here.
    pub(crate) here: &'static str,
    /// The same for the kernel's.
    pub(crate) there: &'static str,
}

impl<'t> Pair<'t> {
    pub(crate) const fn new(spi: u32, to_guest: bool, transform: &'t Transform) -> Self {
        Self {
            spi,
            to_guest,
            transform,
            esn: false,
            udp: false,
            mode: "tunnel",
            here: "",
            there: "",
        }
    }

    fn key(&self, from: usize, bytes: usize) -> String {
        (from..from + bytes)
            .map(|at| format!("{:02x}", (at as u32 * 13 + self.spi) as u8))
            .collect()
    }
}

impl Peer {
    /// A tunnel over packets of a family, with routes of both into it and the kernel's policies that belong to it; without SAs.
    pub(crate) fn protect(&self, over: Family) {
        let (own, other) = (end(over, 1), end(over, 2));
        self.ctl(&format!(
            "tunnel add {TUNNEL} mode esp local {own} remote {other} unnumbered a0"
        ));
        self.routes(TUNNEL);
        let mut words = Vec::new();
        for family in Family::BOTH {
            let (near, far) = (net(family, 2), net(family, 1));
            let source = inside(family, 2);
            words.push(format!(
                "ip route add {far} via {} dev eth0 src {source}",
                end(family, 1)
            ));
            for (direction, from, to, source, destination) in [
                ("out", &near, &far, &other, &own),
                ("in", &far, &near, &own, &other),
            ] {
                words.push(format!(
                    "ip xfrm policy add src {from} dst {to} dir {direction} tmpl src {source} dst {destination} proto esp mode tunnel"
                ));
            }
        }
        self.there(&words.join(" && "));
    }

    pub(crate) fn unprotect(&self) {
        self.ctl("sa flush");
        self.ctl(&format!("tunnel del {TUNNEL}"));
        let routes = Family::BOTH.map(|family| format!("ip route del {}", net(family, 1)));
        self.there(&format!(
            "ip xfrm state flush && ip xfrm policy flush && {}",
            routes.join(" && ")
        ));
    }

    /// Installs the SA of a direction at the end that receives, then at the one that sends.
    #[track_caller]
    pub(crate) fn install(&self, over: Family, pair: Pair<'_>) {
        if pair.to_guest {
            self.install_there(over, pair);
            self.install_here(over, pair);
        } else {
            self.install_here(over, pair);
            self.install_there(over, pair);
        }
    }

    #[track_caller]
    fn install_here(&self, over: Family, pair: Pair<'_>) {
        let (from, to, direction) = if pair.to_guest {
            (1, 2, "out")
        } else {
            (2, 1, "in")
        };
        let Transform {
            name, key, integrity, ..
        } = pair.transform;
        let keys = tempfile::NamedTempFile::new().unwrap();
        let bytes = key + integrity.map_or(0, |(key, ..)| key);
        fs::write(keys.path(), pair.key(0, bytes)).unwrap();
        fs::set_permissions(keys.path(), Permissions::from_mode(0o600)).unwrap();
        self.ctl(&format!(
            "sa add spi {} {direction} src {} dst {} tunnel {TUNNEL} transform {name} mode {} keys {}{}{} {}",
            pair.spi,
            end(over, from),
            end(over, to),
            pair.mode,
            keys.path().display(),
            if pair.esn { " esn" } else { "" },
            if pair.udp { " udp 4500:4500" } else { "" },
            pair.here
        ));
    }

    #[track_caller]
    fn install_there(&self, over: Family, pair: Pair<'_>) {
        let (from, to) = if pair.to_guest { (1, 2) } else { (2, 1) };
        let Transform {
            key,
            cipher,
            integrity,
            ..
        } = *pair.transform;
        let hex = |key: String| {
            if key.is_empty() {
                "''".to_owned()
            } else {
                format!("0x{key}")
            }
        };
        let cipher_key = hex(pair.key(0, key));
        let algorithms = match integrity {
            None => format!("aead '{cipher}' {cipher_key} 128"),
            Some((bytes, hash, bits)) => format!(
                "enc '{cipher}' {cipher_key} auth-trunc '{hash}' {} {bits}",
                hex(pair.key(key, bytes))
            ),
        };
        self.there(&format!(
            "ip xfrm state add src {} dst {} proto esp spi {} mode {} replay-window 64 {} {algorithms} {} {}",
            end(over, from),
            end(over, to),
            pair.spi,
            pair.mode,
            // Of a tunnel packets of both families are inside.
            match (pair.mode, pair.esn) {
                ("tunnel", true) => "flag af-unspec esn",
                ("tunnel", false) => "flag af-unspec",
                (_, true) => "flag esn",
                (_, false) => "",
            },
            if pair.udp {
                "encap espinudp 4500 4500 0.0.0.0"
            } else {
                ""
            },
            pair.there
        ));
    }

    /// Deletes the SAs of both directions, each at the end that sends first. What was sent before has come when the other end follows: the
    /// guest takes its time.
    #[track_caller]
    pub(crate) fn delete(&self, over: Family, out: u32, back: u32) {
        let (own, other) = (end(over, 1), end(over, 2));
        let delete = "ip xfrm state delete src";
        self.ctl(&format!("sa del spi {out} dst {other}"));
        self.there(&format!("{delete} {other} dst {own} proto esp spi {back}"));
        self.there(&format!("{delete} {own} dst {other} proto esp spi {out}"));
        self.ctl(&format!("sa del spi {back} dst {own}"));
    }

    /// Packets went by these two SAs, and came in by the second.
    #[track_caller]
    pub(crate) fn assert_used(&self, out: u32, back: u32, what: &str) {
        let shown: Value = serde_json::from_str(&self.ctl("--json sa show")).unwrap();
        for spi in [out, back] {
            let mut sas = shown.as_array().unwrap().iter();
            let sa = sas.find(|sa| sa["spi"] == spi).unwrap();
            // Of each of two families, two sizes three times.
            assert!(sa["packets"].as_u64().unwrap() >= 12, "{what}: {sa}");
        }
    }

    /// Neither end has refused a packet of the other's.
    #[track_caller]
    pub(crate) fn assert_nothing_refused(&self, what: &str) {
        let counters = self.primary.counters_at_rest().unwrap();
        counters.assert_no_esp_drops(what);
        let errors = self.there("grep XfrmIn /proc/net/xfrm_stat");
        assert!(
            errors
                .lines()
                .all(|line| line.split_whitespace().nth(1) == Some("0")),
            "{what}: {errors}"
        );
    }
}
