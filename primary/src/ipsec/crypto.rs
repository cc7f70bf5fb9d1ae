//! The crypto devices of an instance, opened when the first SA needs them, and the sessions that are made on them.

use dpdk::crypto::{
    Aead, Auth, Cipher, Config, CryptoError, Device, Direction, Session, SessionError, SessionPool,
    SessionPoolError, Transform as Work,
};
use dpdk::{Eal, NumaNode};
use esp::{Format, Integrity, KeyParts, Transform};

/// Sessions beside those of SAs that are there: of such that workers still have to hand back, and of threads that are prepared.
pub const SPARE_SESSIONS: u32 = 512;

/// Why there is no crypto for an SA.
#[derive(Debug, thiserror::Error)]
pub enum CryptoUnfit {
    /// No device could be opened.
    #[error(
        "no crypto device does {transform}: name one that does in devices of [crypto], or install the crypto drivers of DPDK \
         (librte-crypto-ipsec-mb) on a CPU with AES-NI{why}"
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
    /// A device of another kind.
    #[error(
        "the crypto device {0} does not work on the CPU of a worker: name others in devices of [crypto], such as crypto_aesni_mb0"
    )]
    Asynchronous(String),
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
    /// Those that are tried, in this order.
    devices: Vec<(String, State)>,
}

enum State {
    New,
    Open { device: Device, pool: SessionPool },
    Unfit(String),
}

impl<'a> Crypto<'a> {
    /// None of these devices is opened yet; there will be at most so many SAs.
    pub fn new(eal: &'a Eal, node: NumaNode, sas: u32, devices: &[String]) -> Self {
        Self {
            eal,
            node,
            sas,
            devices: devices
                .iter()
                .map(|devargs| (devargs.clone(), State::New))
                .collect(),
        }
    }

    /// Opens all devices, before packets go: each worker is to prepare itself for the pools that this gives. Says why others could
    /// not be opened.
    pub fn open_all(&mut self) -> (Vec<SessionPool>, Vec<String>) {
        let (mut opened, mut unfit) = (Vec::new(), Vec::new());
        for (number, (devargs, state)) in self.devices.iter_mut().enumerate() {
            opened.extend(state.open(self.eal, number, devargs, self.node, self.sas));
            if let State::Unfit(why) = state {
                unfit.push(why.clone());
            }
        }
        (opened, unfit)
    }

    /// Sees to it that SAs of a transform can be made; gives the pools that were opened for it: each worker is to prepare itself for
    /// these.
    pub fn prepare(&mut self, transform: Transform) -> Result<Vec<SessionPool>, CryptoUnfit> {
        let mut opened = Vec::new();
        let mut why = String::new();
        for (number, (devargs, state)) in self.devices.iter_mut().enumerate() {
            opened.extend(state.open(self.eal, number, devargs, self.node, self.sas));
            match state {
                State::Open { device, .. } if does(device, transform) => return Ok(opened),
                State::Unfit(said) => why = format!("; {said}"),
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

impl State {
    /// Opens the device, unless that was tried before; gives the pool that is new.
    fn open(
        &mut self,
        eal: &Eal,
        number: usize,
        devargs: &str,
        node: NumaNode,
        sas: u32,
    ) -> Option<SessionPool> {
        if !matches!(self, Self::New) {
            return None;
        }
        match open(eal, number, devargs, node, sas) {
            Ok((device, pool)) => {
                let opened = pool.clone();
                *self = Self::Open { device, pool };
                Some(opened)
            }
            Err(error) => {
                *self = Self::Unfit(error.to_string());
                None
            }
        }
    }
}

fn open(
    eal: &Eal,
    number: usize,
    devargs: &str,
    node: NumaNode,
    sas: u32,
) -> Result<(Device, SessionPool), CryptoUnfit> {
    let config = Config {
        queues: 0,
        descriptors: 64,
        node,
    };
    let (device, _) = Device::open(eal, devargs, &config)?;
    if !device.is_synchronous() {
        return Err(CryptoUnfit::Asynchronous(device.name().to_owned()));
    }
    let pool = SessionPool::new(&device, &format!("sas.{number}"), sas + SPARE_SESSIONS, node)?;
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
