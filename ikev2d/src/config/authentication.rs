//! `auth`, or `local_auth` and `remote_auth`, and the files that belong to them: how both ends of a profile show who they are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use document::{At, Section};
use ike_engine::{LocalAuth, RemoteAuth};
use ikev2::certificate::{Authorities, Credentials};
use ikev2::crypto::{RsaPadding, Secret, SigningKey, equal};
use zeroize::Zeroizing;

use super::key::{self, Psk};

/// The longest file of certificates or of a private key, bytes.
const LONGEST: usize = 128 * 1024;

/// How both ends show who they are. The other need not do it as we do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// How we do.
    pub local: LocalAuthConfig,
    /// How the peer has to.
    pub remote: RemoteAuthConfig,
}

/// How we show who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAuthConfig {
    /// By a key that both know.
    Psk(Psk),
    /// By a certificate.
    Certificate(CertificateConfig),
}

/// How the peer has to show who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAuthConfig {
    /// By a key that both know.
    Psk(Psk),
    /// By a certificate that one of these has issued.
    Certificate(AuthoritiesConfig),
}

/// Our certificates with their private key.
#[derive(Clone)]
pub struct CertificateConfig {
    credentials: Arc<Credentials>,
    /// What they were made of, to see whether another file has the same.
    certificates: String,
    key: Zeroizing<Vec<u8>>,
}

impl PartialEq for CertificateConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.certificates, self.credentials.padding()) == (&other.certificates, other.credentials.padding())
            && equal(&self.key, &other.key)
    }
}

impl Eq for CertificateConfig {}

impl fmt::Debug for CertificateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateConfig({:?}, ..)", self.credentials.leaf())
    }
}

/// The CAs whose certificates we believe.
#[derive(Clone)]
pub struct AuthoritiesConfig {
    authorities: Arc<Authorities>,
    /// What they were made of.
    certificates: String,
}

impl PartialEq for AuthoritiesConfig {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for AuthoritiesConfig {}

impl fmt::Debug for AuthoritiesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthoritiesConfig(..)")
    }
}

impl AuthConfig {
    /// As the engine has it: ours, and the peer's.
    pub(super) fn engine(&self) -> (LocalAuth, RemoteAuth) {
        let local = match &self.local {
            LocalAuthConfig::Psk(psk) => LocalAuth::Psk(Arc::new(psk.secret())),
            LocalAuthConfig::Certificate(own) => LocalAuth::Signature(own.credentials.clone()),
        };
        let remote = match &self.remote {
            RemoteAuthConfig::Psk(psk) => RemoteAuth::Psk(Arc::new(psk.secret())),
            RemoteAuthConfig::Certificate(cas) => RemoteAuth::Signature(cas.authorities.clone()),
        };
        (local, remote)
    }

    /// The words for it: ours, and the peer's.
    pub fn words(&self) -> [&'static str; 2] {
        let local = match &self.local {
            LocalAuthConfig::Psk(_) => Way::Psk,
            LocalAuthConfig::Certificate(_) => Way::Certificate,
        };
        let remote = match &self.remote {
            RemoteAuthConfig::Psk(_) => Way::Psk,
            RemoteAuthConfig::Certificate(_) => Way::Certificate,
        };
        [local, remote].map(Way::word)
    }
}

/// How an end shows who it is, as it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Psk,
    Certificate,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Way::Psk => "psk",
            Way::Certificate => "certificate",
        }
    }
}

/// The keys that say it: of both ends, of ours, of the peer.
const WAYS: [&str; 3] = ["auth", "local_auth", "remote_auth"];
/// Keys of files and the like, each with the ends that may need it: for ways of ours, and of the peer.
const FILES: [(&str, &[Way], &[Way]); 5] = [
    ("psk_file", &[Way::Psk], &[Way::Psk]),
    ("certificate_file", &[Way::Certificate], &[]),
    ("key_file", &[Way::Certificate], &[]),
    ("ca_file", &[], &[Way::Certificate]),
    ("rsa_padding", &[Way::Certificate], &[]),
];

/// Reads `auth`, or `local_auth` and `remote_auth`, and what belongs to them. `None` only when something was noted as wrong.
pub(super) fn read(section: &Section<'_>, folder: &Path) -> Option<AuthConfig> {
    let [both, local, remote] = WAYS.map(|key| way(section, key));
    let (Ok(both), Ok(local), Ok(remote)) = (both, local, remote) else {
        // They are none that nobody knows.
        for (key, ..) in FILES {
            section.string(key);
        }
        return None;
    };
    if both.is_some()
        && let Some(end) = local.as_ref().or(remote.as_ref())
    {
        let sentence = "auth is for both ends already: leave it out, and write local_auth and remote_auth";
        section.document.report(end.place, sentence);
    }
    let way = |end: Option<At<Way>>| {
        end.or_else(|| both.clone())
            .map_or(Way::Psk, |written| written.value)
    };
    let (local, remote) = (way(local), way(remote));
    for (key, ours, theirs) in FILES {
        if !ours.contains(&local)
            && !theirs.contains(&remote)
            && let Some(idle) = section.string(key)
        {
            let ends: Vec<String> = [(ours, "local_auth"), (theirs, "remote_auth")]
                .iter()
                .filter_map(|(ways, key)| Some(format!("{key} = \"{}\"", ways.first()?.word())))
                .collect();
            let ends = ends.join(" or ");
            let sentence = format!("{key} counts with {ends} alone: write that, or leave {key} out");
            section.document.report(idle.place, sentence);
        }
    }
    let psk = (local == Way::Psk || remote == Way::Psk).then(|| psk(section, folder));
    let own = (local == Way::Certificate).then(|| certificate(section, folder));
    let cas = (remote == Way::Certificate).then(|| authorities(section, folder));
    Some(AuthConfig {
        local: match own {
            Some(own) => LocalAuthConfig::Certificate(own?),
            None => LocalAuthConfig::Psk(psk.clone()??),
        },
        remote: match cas {
            Some(cas) => RemoteAuthConfig::Certificate(cas?),
            None => RemoteAuthConfig::Psk(psk??),
        },
    })
}

/// How an end shows who it is, if a key says that. `Err`: what it says is noted as wrong.
fn way(section: &Section<'_>, key: &'static str) -> Result<Option<At<Way>>, ()> {
    let Some(written) = section.string(key) else {
        return Ok(None);
    };
    let value = match written.value {
        "psk" => Way::Psk,
        "certificate" => Way::Certificate,
        other => {
            let sentence = format!(
                "{key} = \"{other}\" is no way to authenticate: write \"psk\", and psk_file, or \"certificate\", and certificate_file, \
                 key_file and ca_file"
            );
            section.document.report(written.place, sentence);
            return Err(());
        }
    };
    Ok(Some(written.map(|_| value)))
}

fn psk(section: &Section<'_>, folder: &Path) -> Option<Psk> {
    let file = section.string("psk_file");
    section.missing("psk_file", "\"pr1.psk\"");
    let file = file?;
    match key::read(&folder.join(file.value)) {
        Ok(psk) => Some(psk),
        Err(sentence) => {
            section.document.report(file.place, sentence);
            None
        }
    }
}

/// What is wrong with a file is said at its line.
fn noted<T, E: fmt::Display>(section: &Section<'_>, file: &At<&str>, result: Result<T, E>) -> Option<T> {
    result
        .map_err(|error| {
            let sentence = format!("{}: {error}", file.value);
            section.document.report(file.place, sentence);
        })
        .ok()
}

/// A file that a key names, and its text, as far as it is there.
fn text<'d>(
    section: &Section<'d>,
    folder: &Path,
    key: &'static str,
    example: &str,
) -> Option<(At<&'d str>, Option<String>)> {
    let file = section.string(key);
    section.missing(key, example);
    let file = file?;
    let found = std::fs::read_to_string(folder.join(file.value));
    let text = noted(section, &file, found);
    Some((file, text))
}

fn authorities(section: &Section<'_>, folder: &Path) -> Option<AuthoritiesConfig> {
    let (file, text) = text(section, folder, "ca_file", "\"ca.pem\"")?;
    let certificates = text?;
    let authorities = noted(section, &file, Authorities::from_pem(&certificates))?;
    Some(AuthoritiesConfig {
        authorities: Arc::new(authorities),
        certificates,
    })
}

fn padding(section: &Section<'_>) -> Option<RsaPadding> {
    let Some(text) = section.string("rsa_padding") else {
        return Some(RsaPadding::default());
    };
    match text.value {
        "pkcs1" => Some(RsaPadding::Pkcs1),
        "pss" => Some(RsaPadding::Pss),
        other => {
            let sentence =
                format!("rsa_padding = \"{other}\" is none: write pkcs1, or pss, which not every peer has");
            section.document.report(text.place, sentence);
            None
        }
    }
}

fn certificate(section: &Section<'_>, folder: &Path) -> Option<CertificateConfig> {
    let own = text(section, folder, "certificate_file", "\"gw.pem\"");
    let key_file = section.string("key_file");
    section.missing("key_file", "\"gw.key\"");
    let padding = padding(section);
    let key_file = key_file?;
    let key = match key::read_secret(&folder.join(key_file.value), LONGEST) {
        Ok(key) => key,
        Err(sentence) => {
            section.document.report(key_file.place, sentence);
            return None;
        }
    };
    let secret = Secret::from(key.clone());
    let signing = noted(section, &key_file, SigningKey::from_pem(&secret))?;
    let (file, certificates) = own?;
    let certificates = certificates?;
    let credentials = noted(section, &file, Credentials::new(&certificates, signing, padding?))?;
    Some(CertificateConfig {
        credentials: Arc::new(credentials),
        certificates,
        key,
    })
}
