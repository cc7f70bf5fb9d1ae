//! The crypto devices of an instance, opened when the first SA needs them, and the sessions that are made on them.

use dpdk::crypto::{
    Aead, Auth, Cipher, Config, CryptoError, Device, Direction, Session, SessionError, SessionPool,
    SessionPoolError, Transform as Work,
};
use dpdk::{Eal, NumaNode};
use esp::{Format, Integrity, KeyParts, Transform};

/// Sessions beside those of SAs that are there: of such that workers still have to hand back, and of threads that are prepared.
const SPARE: u32 = 512;

/// Why there is no crypto for an SA.
#[derive(Debug, thiserror::Error)]
pub enum CryptoUnfit {
    /// No device could be opened.
    #[error(
        "no crypto device does {transform}: install the crypto drivers of DPDK (librte-crypto-ipsec-mb) on a CPU with AES-NI; {why}"
    )]
    None {
        /// What was needed.
        transform: Transform,
        /// What the last one said.
        why: String,
    },
    /// No device.
    #[error(transparent)]
    Device(#[from] CryptoError),
    /// No room for its sessions.
    #[error(transparent)]
    Pool(#[from] SessionPoolError),
    /// No session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No random bytes.
    #[error("the kernel gives no random bytes for IVs: {0}")]
    Random(String),
}

/// Crypto devices.
pub struct Crypto<'a> {
    eal: &'a Eal,
    node: NumaNode,
    sas: u32,
    /// Those that are tried, in this order; GCM is done faster by the first.
    devices: [(&'static str, State); 2],
}

enum State {
    New,
    Open { device: Device, pool: SessionPool },
    Unfit(String),
}

impl<'a> Crypto<'a> {
    /// None is opened yet; there will be at most so many SAs.
    pub fn new(eal: &'a Eal, node: NumaNode, sas: u32) -> Self {
        Self {
            eal,
            node,
            sas,
            devices: ["crypto_aesni_gcm0", "crypto_aesni_mb0"].map(|name| (name, State::New)),
        }
    }

    /// Sees to it that SAs of a transform can be made; gives the pools that were opened for it: each worker is to prepare itself for
    /// these.
    pub fn prepare(&mut self, transform: Transform) -> Result<Vec<SessionPool>, CryptoUnfit> {
        let mut opened = Vec::new();
        let mut why = String::new();
        for (name, state) in &mut self.devices {
            if matches!(state, State::New) {
                *state = match open(self.eal, name, self.node, self.sas) {
                    Ok((device, pool)) => {
                        opened.push(pool.clone());
                        State::Open { device, pool }
                    }
                    Err(error) => State::Unfit(error.to_string()),
                };
            }
            match state {
                State::Open { device, .. } if does(device, transform) => return Ok(opened),
                State::Unfit(said) => why.clone_from(said),
                _ => {}
            }
        }
        Err(CryptoUnfit::None { transform, why })
    }

    /// Makes the session of an SA with these keys.
    pub fn session(
        &self,
        keys: &KeyParts<'_>,
        format: Format,
        direction: Direction,
    ) -> Result<Session, CryptoUnfit> {
        let work = work(keys, format, direction);
        let found = self.devices.iter().find_map(|(_, state)| match state {
            State::Open { device, pool } if device.supports(&work) => Some(pool),
            _ => None,
        });
        let pool = found.ok_or_else(|| CryptoUnfit::None {
            transform: format.transform(),
            why: String::new(),
        })?;
        Ok(pool.session(&work, direction)?)
    }
}

fn open(eal: &Eal, name: &str, node: NumaNode, sas: u32) -> Result<(Device, SessionPool), CryptoUnfit> {
    let config = Config {
        queues: 0,
        descriptors: 64,
        node,
    };
    let (device, _) = Device::open(eal, name, &config)?;
    let pool = SessionPool::new(&device, &format!("sas.{name}"), sas + SPARE, node)?;
    Ok((device, pool))
}

/// Whether a device can do what SAs of a transform need.
fn does(device: &Device, transform: Transform) -> bool {
    let zeros = [0; shm::keys::KEY_BYTES];
    let keys = zeros.get(..transform.key_len()).map(|keys| transform.split(keys));
    let Some(Ok(keys)) = keys else {
        return false;
    };
    device.supports(&work(&keys, Format::new(transform, true), Direction::Seal))
}

/// What a session does for an SA. With CBC the IV is encrypted too when a packet is sealed, see [`esp::Outbound`].
fn work<'k>(keys: &KeyParts<'k>, format: Format, direction: Direction) -> Work<'k> {
    use esp::Cipher as Kind;
    let aead = |algorithm| Work::Aead {
        algorithm,
        key: keys.cipher(),
        aad_len: format.aad_len() as u8,
    };
    let chain = |cipher| Work::Chain {
        cipher,
        cipher_key: keys.cipher(),
        auth: match format.transform().integrity() {
            Some(Integrity::HmacSha256) | None => Auth::HmacSha256,
            Some(Integrity::HmacSha384) => Auth::HmacSha384,
            Some(Integrity::HmacSha512) => Auth::HmacSha512,
        },
        auth_key: keys.integrity(),
        clear_head: match direction {
            Direction::Seal => format.encrypted_from(),
            Direction::Open => format.head_len(),
        } as u16,
        clear_tail: format.spare_len() as u16,
    };
    match format.transform().cipher() {
        Kind::AesGcm => aead(Aead::AesGcm),
        Kind::ChaCha20Poly1305 => aead(Aead::ChaCha20Poly1305),
        Kind::AesCbc => chain(Cipher::AesCbc),
        Kind::Null => chain(Cipher::Null),
    }
}
