//! Why a certificate is not taken: what is wrong with which one, and what to do.

use std::time::Duration;

/// Why a certificate is not taken. Names are as the certificate has them, escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A file has no certificate.
    #[error("the file has no PEM block CERTIFICATE; give certificates in PEM")]
    NoCertificate,
    /// It cannot be read.
    #[error("a certificate cannot be read ({0}); make it anew")]
    Malformed(String),
    /// It is larger than it may be.
    #[error(
        "a certificate has {len} bytes, and {max} are taken; make it smaller, for example by fewer names"
    )]
    TooLong {
        /// What it has.
        len: usize,
        /// What it may have.
        max: usize,
    },
    /// There are more than there may be.
    #[error(
        "the peer has sent {count} certificates, and {max} are taken; have it send those between its own and the CA alone"
    )]
    TooMany {
        /// As many there are.
        count: usize,
        /// As many there may be.
        max: usize,
    },
    /// The peer has sent none.
    #[error("the peer authenticates by a signature and has sent no X.509 certificate; have it send its own")]
    Missing,
    /// Its key is for an algorithm that is not here.
    #[error(
        "the certificate of {subject} has a key for {algorithm}, which is not here; give it one for RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519"
    )]
    Key {
        /// Whose.
        subject: String,
        /// Which.
        algorithm: String,
    },
    /// What is to be believed is no authority.
    #[error(
        "the certificate of {0} is none of a CA: its basicConstraints have no CA:TRUE, or its keyUsage has no keyCertSign; give the CA's"
    )]
    NoAuthority(String),
    /// A certificate on the way to the CA may not sign others.
    #[error(
        "the certificate of {0} has signed another, and its keyUsage has no keyCertSign; issue it anew with that, or take another CA"
    )]
    MayNotIssue(String),
    /// A private key of something else.
    #[error(
        "the private key is not that of the certificate of {0}, which is the first; give the key that it was made for"
    )]
    OtherKey(String),
    /// There is nobody to believe who has issued it.
    #[error(
        "the certificate of {subject} is issued by {issuer}, and no chain leads from there to a CA of ours: {authorities}; add its CA, or have \
         the peer send the certificates between"
    )]
    UnknownIssuer {
        /// Whose.
        subject: String,
        /// Whose name is in it.
        issuer: String,
        /// Those that are believed.
        authorities: String,
    },
    /// Its time is over.
    #[error("the certificate of {subject} expired {} ago; renew it, or set the clock", show(*.ago))]
    Expired {
        /// Whose.
        subject: String,
        /// For how long.
        ago: Duration,
    },
    /// Its time has not come.
    #[error("the certificate of {subject} is valid in {} and not before; see which end's clock is wrong", show(*.until))]
    NotYetValid {
        /// Whose.
        subject: String,
        /// When it will be.
        until: Duration,
    },
    /// A certificate on the way to the CA is out of its time.
    #[error(
        "a certificate between that of {0} and its CA has expired or is not valid yet; renew it, or set the clock"
    )]
    ChainTime(String),
    /// The engine has not been told the time of day.
    #[error(
        "it cannot be said whether the certificate of {0} is valid, because the time of day is not known; set the clock"
    )]
    NoClock(String),
    /// The key may not sign.
    #[error("the certificate of {0} has a keyUsage without digitalSignature; issue it anew with that")]
    Usage(String),
    /// It is for something else.
    #[error(
        "the certificate of {0} has an extendedKeyUsage that is not for IKE; issue it anew with ipsecIKE (1.3.6.1.5.5.7.3.17) or without one"
    )]
    Purpose(String),
    /// It is a CA's.
    #[error(
        "the certificate of {0} is a CA's, by which no peer authenticates; issue one for the peer with it"
    )]
    Authority(String),
    /// Signed in a way that is not believed.
    #[error(
        "a certificate between that of {0} and its CA is signed with an algorithm that is not taken, SHA-1 for one; issue it anew with SHA-2"
    )]
    WeakSignature(String),
    /// The chain breaks another rule.
    #[error("the certificate of {subject} is not taken ({reason}); issue it anew without that")]
    Chain {
        /// Whose.
        subject: String,
        /// Which rule, as webpki calls it.
        reason: String,
    },
    /// It is somebody else's.
    #[error(
        "the peer says to be {id}, and its certificate is for {names}: change the identity of the peer, or issue a certificate with it"
    )]
    Identity {
        /// Who the peer says to be.
        id: String,
        /// Whose the certificate is.
        names: String,
    },
}

/// Time of day: since 1970, UTC.
pub type Clock = Duration;

fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7_200 => format!("{} min", seconds / 60),
        7_201..=172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
