//! Whether our certificate says who we are: a peer refuses one that does not.

use document::{Document, Place};
use ike_engine::{Identity, LocalAuth};
use ikev2::certificate::CertificateError;

use super::authentication::AuthConfig;

/// Notes it at `place` when our certificate is for others than `id`.
pub(super) fn check(document: &Document<'_>, place: Place, id: &Identity, auth: &AuthConfig) {
    let (LocalAuth::Signature(credentials), _) = auth.engine() else {
        return;
    };
    let checked = credentials.leaf().map(|leaf| leaf.check_identity(&id.payload()));
    if let Some(Err(CertificateError::Identity { id, names })) = checked {
        let sentence = format!(
            "local_id is {id}, and our certificate is for {names}: write one of these, or have {id} put into the certificate"
        );
        document.report(place, sentence);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::config::Config;

    #[test]
    fn our_certificate_has_to_say_who_we_are() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (
                "gw.pem",
                include_str!("../../../lib/ikev2/tests/certificates/left-rsa.pem"),
            ),
            (
                "gw.key",
                include_str!("../../../lib/ikev2/tests/certificates/left-rsa.key"),
            ),
            (
                "ca.pem",
                include_str!("../../../lib/ikev2/tests/certificates/root.pem"),
            ),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let told = |address: &str, more: &str| {
            let text = format!(
                "[[profile]]\nname = \"pr1\"\nlocal_address = \"{address}\"\n{more}\nauth = \"certificate\"\n\
                 certificate_file = \"gw.pem\"\nkey_file = \"gw.key\"\nca_file = \"ca.pem\"\n\
                 [[profile.child]]\ntunnel = \"t\"\nlocal_ts = [\"10.1.0.0/16\"]\nremote_ts = [\"10.2.0.0/16\"]\n"
            );
            let read = Config::read(&text, &folder.path().join("ike.toml"));
            read.map(|_| ()).map_err(|errors| errors.to_string())
        };
        for right in ["C=AQ, O=Tollgate tests, CN=left", "LEFT.example.org"] {
            assert_eq!(told("192.0.2.9", &format!("local_id = \"{right}\"")), Ok(()));
        }
        let wrong = told("192.0.2.9", "local_id = \"right.example.org\"").unwrap_err();
        let sentence = "local_id is right.example.org, and our certificate is for subject C=AQ, O=Tollgate tests, CN=left";
        assert!(
            wrong.contains(sentence) && wrong.contains("ike.toml:4:"),
            "{wrong}"
        );
        // Without one we are our address.
        assert_eq!(told("192.0.2.1", ""), Ok(()));
        let wrong = told("192.0.2.9", "").unwrap_err();
        assert!(
            wrong.contains("local_id is 192.0.2.9, ") && wrong.contains("ike.toml:1:"),
            "{wrong}"
        );
    }
}
