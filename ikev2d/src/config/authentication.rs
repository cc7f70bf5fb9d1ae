//! `auth` and the files that belong to it: how both ends of a profile show who they are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use document::Section;
use ike_engine::{LocalAuth, RemoteAuth};
use ikev2::certificate::{Authorities, Credentials};
use ikev2::crypto::{RsaPadding, Secret, SigningKey, equal};
use zeroize::Zeroizing;

use super::key::{self, Psk};

/// The longest file of certificates or of a private key, bytes.
const LONGEST: usize = 128 * 1024;

/// How both ends show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthConfig {
    /// By a key that both know.
    Psk(Psk),
    /// By certificates.
    Certificate(CertificateConfig),
}

/// Our certificates with their private key, and whom we believe.
#[derive(Clone)]
pub struct CertificateConfig {
    credentials: Arc<Credentials>,
    authorities: Arc<Authorities>,
    /// What they were made of, to see whether another file has the same.
    certificates: String,
    key: Zeroizing<Vec<u8>>,
    cas: String,
}

impl PartialEq for CertificateConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.certificates, &self.cas, self.credentials.padding())
            == (&other.certificates, &other.cas, other.credentials.padding())
            && equal(&self.key, &other.key)
    }
}

impl Eq for CertificateConfig {}

impl fmt::Debug for CertificateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateConfig({:?}, ..)", self.credentials.leaf())
    }
}

impl AuthConfig {
    /// As the engine has it: ours, and the peer's.
    pub(super) fn engine(&self) -> (LocalAuth, RemoteAuth) {
        match self {
            AuthConfig::Psk(psk) => {
                let key = Arc::new(psk.secret());
                (LocalAuth::Psk(key.clone()), RemoteAuth::Psk(key))
            }
            AuthConfig::Certificate(files) => (
                LocalAuth::Signature(files.credentials.clone()),
                RemoteAuth::Signature(files.authorities.clone()),
            ),
        }
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            AuthConfig::Psk(_) => "psk",
            AuthConfig::Certificate(_) => "certificate",
        }
    }
}

/// Reads `auth` and what belongs to it. `None` only when something was noted as wrong.
pub(super) fn read(section: &Section<'_>, folder: &Path) -> Option<AuthConfig> {
    let document = section.document;
    let auth = section.string("auth");
    match auth.as_ref().map_or("psk", |auth| auth.value) {
        "psk" => psk(section, folder).map(AuthConfig::Psk),
        "certificate" => certificate(section, folder).map(AuthConfig::Certificate),
        other => {
            let sentence = format!(
                "auth = \"{other}\" is no way to authenticate: write \"psk\", and psk_file, or \"certificate\", and certificate_file, \
                 key_file and ca_file"
            );
            document.report(auth.map_or(section.place, |auth| auth.place), sentence);
            // They are none that nobody knows.
            for key in [
                "psk_file",
                "certificate_file",
                "key_file",
                "ca_file",
                "rsa_padding",
            ] {
                section.string(key);
            }
            None
        }
    }
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

fn certificate(section: &Section<'_>, folder: &Path) -> Option<CertificateConfig> {
    let document = section.document;
    let named = [
        ("certificate_file", "\"gw.pem\""),
        ("key_file", "\"gw.key\""),
        ("ca_file", "\"ca.pem\""),
    ]
    .map(|(name, example)| {
        let file = section.string(name);
        section.missing(name, example);
        file
    });
    let padding = match section.string("rsa_padding") {
        None => RsaPadding::default(),
        Some(text) => match text.value {
            "pkcs1" => RsaPadding::Pkcs1,
            "pss" => RsaPadding::Pss,
            other => {
                let sentence = format!(
                    "rsa_padding = \"{other}\" is none: write pkcs1, or pss, which not every peer has"
                );
                document.report(text.place, sentence);
                return None;
            }
        },
    };
    let [Some(certificate_file), Some(key_file), Some(ca_file)] = named else {
        return None;
    };
    // What is wrong with one of them is said at its line.
    fn noted<T, E: fmt::Display>(
        section: &Section<'_>,
        file: &document::At<&str>,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                let sentence = format!("{}: {error}", file.value);
                section.document.report(file.place, sentence);
            })
            .ok()
    }
    let text = |file: &document::At<&str>| {
        let found = std::fs::read_to_string(folder.join(file.value));
        noted(section, file, found)
    };
    let key = match key::read_secret(&folder.join(key_file.value), LONGEST) {
        Ok(key) => Some(key),
        Err(sentence) => {
            document.report(key_file.place, sentence);
            None
        }
    };
    let cas = text(&ca_file);
    let authorities = cas
        .as_ref()
        .and_then(|text| noted(section, &ca_file, Authorities::from_pem(text)));
    let certificates = text(&certificate_file);
    let key = key?;
    let signing = noted(
        section,
        &key_file,
        SigningKey::from_pem(&Secret::from(key.clone())),
    )?;
    let certificates = certificates?;
    let credentials = noted(
        section,
        &certificate_file,
        Credentials::new(&certificates, signing, padding),
    )?;
    Some(CertificateConfig {
        credentials: Arc::new(credentials),
        authorities: Arc::new(authorities?),
        certificates,
        key,
        cas: cas?,
    })
}
