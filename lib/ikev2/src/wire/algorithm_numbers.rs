//! Numbers of transforms: their types, and what each type has.

use super::registry::registry;

registry! {
    /// What a transform is for.
    TransformType(u8), "transform type":
    ENCR = 1, "encryption", "RFC 7296 §3.3.2";
    PRF = 2, "PRF", "RFC 7296 §3.3.2";
    INTEG = 3, "integrity", "RFC 7296 §3.3.2";
    KE = 4, "key exchange", "RFC 7296 §3.3.2, named by RFC 9370";
    ESN = 5, "sequence numbers", "RFC 7296 §3.3.2";
    ADDKE1 = 6, "additional key exchange 1", "RFC 9370";
    ADDKE2 = 7, "additional key exchange 2", "RFC 9370";
    ADDKE3 = 8, "additional key exchange 3", "RFC 9370";
    ADDKE4 = 9, "additional key exchange 4", "RFC 9370";
    ADDKE5 = 10, "additional key exchange 5", "RFC 9370";
    ADDKE6 = 11, "additional key exchange 6", "RFC 9370";
    ADDKE7 = 12, "additional key exchange 7", "RFC 9370";
}

impl TransformType {
    /// Whether it is one of the additional key exchanges of RFC 9370.
    pub const fn is_additional_key_exchange(self) -> bool {
        TransformType::ADDKE1.0 <= self.0 && self.0 <= TransformType::ADDKE7.0
    }

    /// The number of its registry that stands for "none": of types that a proposal may lack (RFC 7296 §3.3.3, RFC 9370 §2.2.1).
    /// For sequence numbers it is those of 32 bits.
    pub const fn none(self) -> Option<u16> {
        match self {
            TransformType::INTEG | TransformType::KE | TransformType::ESN => Some(0),
            _ if self.is_additional_key_exchange() => Some(0),
            _ => None,
        }
    }
}

registry! {
    /// Encryption algorithms: numbers of transforms of type 1.
    EncryptionId(u16), "encryption algorithm":
    DES3 = 3, "ENCR_3DES", "RFC 2451";
    NULL = 11, "ENCR_NULL", "RFC 2410";
    AES_CBC = 12, "ENCR_AES_CBC", "RFC 3602";
    AES_CTR = 13, "ENCR_AES_CTR", "RFC 3686, RFC 5930";
    AES_CCM_8 = 14, "ENCR_AES_CCM_8", "RFC 4309, RFC 5282";
    AES_CCM_12 = 15, "ENCR_AES_CCM_12", "RFC 4309, RFC 5282";
    AES_CCM_16 = 16, "ENCR_AES_CCM_16", "RFC 4309, RFC 5282";
    AES_GCM_8 = 18, "ENCR_AES_GCM_8", "RFC 4106, RFC 5282";
    AES_GCM_12 = 19, "ENCR_AES_GCM_12", "RFC 4106, RFC 5282";
    AES_GCM_16 = 20, "ENCR_AES_GCM_16", "RFC 4106, RFC 5282";
    NULL_AUTH_AES_GMAC = 21, "ENCR_NULL_AUTH_AES_GMAC", "RFC 4543";
    CAMELLIA_CBC = 23, "ENCR_CAMELLIA_CBC", "RFC 5529";
    CHACHA20_POLY1305 = 28, "ENCR_CHACHA20_POLY1305", "RFC 7634";
}

impl EncryptionId {
    /// Whether it authenticates as well, so that no integrity algorithm goes with it (RFC 5282 §8).
    pub const fn is_combined_mode(self) -> bool {
        matches!(
            self,
            EncryptionId::AES_CCM_8
                | EncryptionId::AES_CCM_12
                | EncryptionId::AES_CCM_16
                | EncryptionId::AES_GCM_8
                | EncryptionId::AES_GCM_12
                | EncryptionId::AES_GCM_16
                | EncryptionId::NULL_AUTH_AES_GMAC
                | EncryptionId::CHACHA20_POLY1305
        )
    }
}

registry! {
    /// Pseudorandom functions: numbers of transforms of type 2.
    PrfId(u16), "PRF":
    HMAC_MD5 = 1, "PRF_HMAC_MD5", "RFC 2104";
    HMAC_SHA1 = 2, "PRF_HMAC_SHA1", "RFC 2104";
    AES128_XCBC = 4, "PRF_AES128_XCBC", "RFC 4434";
    HMAC_SHA2_256 = 5, "PRF_HMAC_SHA2_256", "RFC 4868";
    HMAC_SHA2_384 = 6, "PRF_HMAC_SHA2_384", "RFC 4868";
    HMAC_SHA2_512 = 7, "PRF_HMAC_SHA2_512", "RFC 4868";
    AES128_CMAC = 8, "PRF_AES128_CMAC", "RFC 4615";
}

registry! {
    /// Integrity algorithms: numbers of transforms of type 3.
    IntegrityId(u16), "integrity algorithm":
    NONE = 0, "NONE", "RFC 7296 §3.3.2";
    HMAC_MD5_96 = 1, "AUTH_HMAC_MD5_96", "RFC 2403";
    HMAC_SHA1_96 = 2, "AUTH_HMAC_SHA1_96", "RFC 2404";
    AES_XCBC_96 = 5, "AUTH_AES_XCBC_96", "RFC 3566";
    AES_CMAC_96 = 8, "AUTH_AES_CMAC_96", "RFC 4494";
    HMAC_SHA2_256_128 = 12, "AUTH_HMAC_SHA2_256_128", "RFC 4868";
    HMAC_SHA2_384_192 = 13, "AUTH_HMAC_SHA2_384_192", "RFC 4868";
    HMAC_SHA2_512_256 = 14, "AUTH_HMAC_SHA2_512_256", "RFC 4868";
}

registry! {
    /// Key exchange methods: numbers of transforms of type 4 and of the additional key exchanges, and of KE payloads.
    KeyExchangeMethod(u16), "key exchange method":
    NONE = 0, "NONE", "RFC 7296 §3.3.2";
    MODP_768 = 1, "modp768", "RFC 7296 appendix B";
    MODP_1024 = 2, "modp1024", "RFC 7296 appendix B";
    MODP_1536 = 5, "modp1536", "RFC 3526";
    MODP_2048 = 14, "modp2048", "RFC 3526";
    MODP_3072 = 15, "modp3072", "RFC 3526";
    MODP_4096 = 16, "modp4096", "RFC 3526";
    MODP_6144 = 17, "modp6144", "RFC 3526";
    MODP_8192 = 18, "modp8192", "RFC 3526";
    ECP_256 = 19, "ecp256", "RFC 5903";
    ECP_384 = 20, "ecp384", "RFC 5903";
    ECP_521 = 21, "ecp521", "RFC 5903";
    CURVE25519 = 31, "curve25519", "RFC 8031";
    CURVE448 = 32, "curve448", "RFC 8031";
    ML_KEM_512 = 35, "mlkem512", "draft-ietf-ipsecme-ikev2-mlkem";
    ML_KEM_768 = 36, "mlkem768", "draft-ietf-ipsecme-ikev2-mlkem";
    ML_KEM_1024 = 37, "mlkem1024", "draft-ietf-ipsecme-ikev2-mlkem";
}

registry! {
    /// Sequence numbers: numbers of transforms of type 5.
    SequenceNumbers(u16), "sequence numbers":
    BITS_32 = 0, "noesn", "RFC 7296 §3.3.2";
    EXTENDED = 1, "esn", "RFC 7296 §3.3.2";
}

registry! {
    /// Attributes of transforms: 15 bits.
    AttributeType(u16), "transform attribute":
    KEY_LENGTH = 14, "key length", "RFC 7296 §3.3.5";
}
