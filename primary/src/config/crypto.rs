//! `[crypto]`: by which devices SAs are sealed and opened.

use document::Section;

/// `[crypto]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoConfig {
    /// Devargs of crypto devices, in the order in which they are tried: the first that does the transform of an SA has it.
    pub devices: Vec<String>,
}

impl Default for CryptoConfig {
    /// Those of the CPU; GCM is done faster by the first.
    fn default() -> Self {
        Self {
            devices: ["crypto_aesni_gcm0", "crypto_aesni_mb0"]
                .map(str::to_owned)
                .into(),
        }
    }
}

impl CryptoConfig {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let written = section.strings("devices");
        let Some(written) = written else {
            section.finish();
            return Self::default();
        };
        let mut devices: Vec<String> = Vec::new();
        if written.is_empty() {
            section.document.report(
                section.place,
                "devices in [crypto] names none: name one, such as \"crypto_aesni_mb0\", or remove the key; 'sas = 0' in [limits] does \
                 without SAs"
                    .to_owned(),
            );
        }
        for device in written {
            let text = device.value;
            if let Some(fault) = fault(text) {
                let sentence = format!("'{text}' in devices of [crypto] is no crypto device: {fault}");
                section.document.report(device.place, sentence);
            } else if devices.iter().any(|other| name(other) == name(text)) {
                let sentence = format!(
                    "devices of [crypto] has {} twice: name each device once",
                    name(text)
                );
                section.document.report(device.place, sentence);
            }
            devices.push(text.to_owned());
        }
        section.finish();
        Self { devices }
    }
}

/// The name of the device that devargs make.
fn name(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or_default()
}

/// What is wrong with devargs, as far as that can be told before DPDK sees them.
fn fault(devargs: &str) -> Option<&'static str> {
    let driver = name(devargs).strip_prefix("crypto_");
    if driver.is_none_or(|driver| !driver.ends_with(|last: char| last.is_ascii_digit())) {
        return Some("write driver and number, such as crypto_aesni_mb0, and options behind a comma");
    }
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if devargs.contains(is_odd) {
        return Some("it has a blank in it: options follow commas alone");
    }
    // That is RTE_DEV_NAME_MAX_LEN, with the zero byte at its end.
    (name(devargs).len() > 63).then_some("its name is longer than 63 bytes: shorten it")
}
