//! Numbers of messages and payloads: exchanges, payloads, protocols, identities, certificates, authentication, selectors, configuration.
//!
//! Those of transforms are in `algorithm_numbers`, those of notifies in `notify_type`.

use super::registry::registry;

registry! {
    /// What a message is a request or a response of.
    ExchangeType(u8), "exchange type":
    IKE_SA_INIT = 34, "IKE_SA_INIT", "RFC 7296 §1.2";
    IKE_AUTH = 35, "IKE_AUTH", "RFC 7296 §1.2";
    CREATE_CHILD_SA = 36, "CREATE_CHILD_SA", "RFC 7296 §1.3";
    INFORMATIONAL = 37, "INFORMATIONAL", "RFC 7296 §1.4";
    IKE_SESSION_RESUME = 38, "IKE_SESSION_RESUME", "RFC 5723";
    IKE_INTERMEDIATE = 43, "IKE_INTERMEDIATE", "RFC 9242";
    IKE_FOLLOWUP_KE = 44, "IKE_FOLLOWUP_KE", "RFC 9370";
}

registry! {
    /// What a payload is.
    PayloadType(u8), "payload type":
    NONE = 0, "no next payload", "RFC 7296 §3.2";
    SA = 33, "SA", "RFC 7296 §3.3";
    KE = 34, "KE", "RFC 7296 §3.4";
    ID_INITIATOR = 35, "IDi", "RFC 7296 §3.5";
    ID_RESPONDER = 36, "IDr", "RFC 7296 §3.5";
    CERT = 37, "CERT", "RFC 7296 §3.6";
    CERTREQ = 38, "CERTREQ", "RFC 7296 §3.7";
    AUTH = 39, "AUTH", "RFC 7296 §3.8";
    NONCE = 40, "Nonce", "RFC 7296 §3.9";
    NOTIFY = 41, "N", "RFC 7296 §3.10";
    DELETE = 42, "D", "RFC 7296 §3.11";
    VENDOR_ID = 43, "V", "RFC 7296 §3.12";
    TS_INITIATOR = 44, "TSi", "RFC 7296 §3.13";
    TS_RESPONDER = 45, "TSr", "RFC 7296 §3.13";
    ENCRYPTED = 46, "SK", "RFC 7296 §3.14";
    CONFIGURATION = 47, "CP", "RFC 7296 §3.15";
    EAP = 48, "EAP", "RFC 7296 §3.16";
    ENCRYPTED_FRAGMENT = 53, "SKF", "RFC 7383 §2.5";
}

registry! {
    /// What an SPI, a proposal, a notify or a delete belongs to.
    ProtocolId(u8), "protocol":
    NONE = 0, "no protocol", "RFC 7296 §3.10";
    IKE = 1, "IKE", "RFC 7296 §3.3.1";
    AH = 2, "AH", "RFC 7296 §3.3.1";
    ESP = 3, "ESP", "RFC 7296 §3.3.1";
}

registry! {
    /// What the data of an identity are.
    IdType(u8), "ID type":
    IPV4_ADDR = 1, "ID_IPV4_ADDR", "RFC 7296 §3.5";
    FQDN = 2, "ID_FQDN", "RFC 7296 §3.5";
    RFC822_ADDR = 3, "ID_RFC822_ADDR", "RFC 7296 §3.5";
    IPV6_ADDR = 5, "ID_IPV6_ADDR", "RFC 7296 §3.5";
    DER_ASN1_DN = 9, "ID_DER_ASN1_DN", "RFC 7296 §3.5";
    DER_ASN1_GN = 10, "ID_DER_ASN1_GN", "RFC 7296 §3.5";
    KEY_ID = 11, "ID_KEY_ID", "RFC 7296 §3.5";
    FC_NAME = 12, "ID_FC_NAME", "RFC 4595";
    NULL = 13, "ID_NULL", "RFC 7619";
}

registry! {
    /// How a certificate, or what is asked for, is encoded.
    CertificateEncoding(u8), "certificate encoding":
    PKCS7_X509 = 1, "PKCS #7 wrapped X.509 certificate", "RFC 7296 §3.6, unspecified";
    PGP = 2, "PGP certificate", "RFC 7296 §3.6, unspecified";
    DNS_SIGNED_KEY = 3, "DNS signed key", "RFC 7296 §3.6, unspecified";
    X509_SIGNATURE = 4, "X.509 certificate - signature", "RFC 7296 §3.6";
    KERBEROS_TOKEN = 6, "Kerberos token", "RFC 7296 §3.6, unspecified";
    CRL = 7, "certificate revocation list", "RFC 7296 §3.6";
    ARL = 8, "authority revocation list", "RFC 7296 §3.6, unspecified";
    SPKI = 9, "SPKI certificate", "RFC 7296 §3.6, unspecified";
    X509_ATTRIBUTE = 10, "X.509 certificate - attribute", "RFC 7296 §3.6, unspecified";
    HASH_AND_URL_X509 = 12, "hash and URL of X.509 certificate", "RFC 7296 §3.6";
    HASH_AND_URL_BUNDLE = 13, "hash and URL of X.509 bundle", "RFC 7296 §3.6";
    OCSP_CONTENT = 14, "OCSP content", "RFC 4806";
    RAW_PUBLIC_KEY = 15, "raw public key", "RFC 7670";
}

registry! {
    /// How a peer authenticates.
    AuthMethod(u8), "authentication method":
    RSA_SIGNATURE = 1, "RSA digital signature", "RFC 7296 §3.8";
    SHARED_KEY_MIC = 2, "shared key message integrity code", "RFC 7296 §3.8";
    DSS_SIGNATURE = 3, "DSS digital signature", "RFC 7296 §3.8";
    ECDSA_SHA256_P256 = 9, "ECDSA with SHA-256 on the P-256 curve", "RFC 4754";
    ECDSA_SHA384_P384 = 10, "ECDSA with SHA-384 on the P-384 curve", "RFC 4754";
    ECDSA_SHA512_P521 = 11, "ECDSA with SHA-512 on the P-521 curve", "RFC 4754";
    GENERIC_SECURE_PASSWORD = 12, "generic secure password authentication method", "RFC 6467";
    NULL = 13, "NULL authentication", "RFC 7619";
    DIGITAL_SIGNATURE = 14, "digital signature", "RFC 7427";
}

registry! {
    /// Hash algorithms that a peer takes in signatures: data of `SIGNATURE_HASH_ALGORITHMS`.
    HashAlgorithm(u16), "hash algorithm":
    SHA1 = 1, "SHA1", "RFC 7427 §7";
    SHA2_256 = 2, "SHA2-256", "RFC 7427 §7";
    SHA2_384 = 3, "SHA2-384", "RFC 7427 §7";
    SHA2_512 = 4, "SHA2-512", "RFC 7427 §7";
    IDENTITY = 5, "Identity", "RFC 8420";
}

registry! {
    /// What a traffic selector selects.
    TsType(u8), "traffic selector type":
    IPV4_ADDR_RANGE = 7, "TS_IPV4_ADDR_RANGE", "RFC 7296 §3.13.1";
    IPV6_ADDR_RANGE = 8, "TS_IPV6_ADDR_RANGE", "RFC 7296 §3.13.1";
    FC_ADDR_RANGE = 9, "TS_FC_ADDR_RANGE", "RFC 4595";
    SECLABEL = 10, "TS_SECLABEL", "RFC 9478";
}

registry! {
    /// What a configuration payload does.
    ConfigurationType(u8), "configuration type":
    REQUEST = 1, "CFG_REQUEST", "RFC 7296 §3.15";
    REPLY = 2, "CFG_REPLY", "RFC 7296 §3.15";
    SET = 3, "CFG_SET", "RFC 7296 §3.15";
    ACK = 4, "CFG_ACK", "RFC 7296 §3.15";
}

registry! {
    /// What is asked for, or given, in a configuration payload: 15 bits.
    ConfigurationAttributeType(u16), "configuration attribute":
    INTERNAL_IP4_ADDRESS = 1, "INTERNAL_IP4_ADDRESS", "RFC 7296 §3.15.1";
    INTERNAL_IP4_NETMASK = 2, "INTERNAL_IP4_NETMASK", "RFC 7296 §3.15.1";
    INTERNAL_IP4_DNS = 3, "INTERNAL_IP4_DNS", "RFC 7296 §3.15.1";
    INTERNAL_IP4_NBNS = 4, "INTERNAL_IP4_NBNS", "RFC 7296 §3.15.1";
    INTERNAL_IP4_DHCP = 6, "INTERNAL_IP4_DHCP", "RFC 7296 §3.15.1";
    APPLICATION_VERSION = 7, "APPLICATION_VERSION", "RFC 7296 §3.15.1";
    INTERNAL_IP6_ADDRESS = 8, "INTERNAL_IP6_ADDRESS", "RFC 7296 §3.15.1";
    INTERNAL_IP6_DNS = 10, "INTERNAL_IP6_DNS", "RFC 7296 §3.15.1";
    INTERNAL_IP6_DHCP = 12, "INTERNAL_IP6_DHCP", "RFC 7296 §3.15.1";
    INTERNAL_IP4_SUBNET = 13, "INTERNAL_IP4_SUBNET", "RFC 7296 §3.15.1";
    SUPPORTED_ATTRIBUTES = 14, "SUPPORTED_ATTRIBUTES", "RFC 7296 §3.15.1";
    INTERNAL_IP6_SUBNET = 15, "INTERNAL_IP6_SUBNET", "RFC 7296 §3.15.1";
    MIP6_HOME_PREFIX = 16, "MIP6_HOME_PREFIX", "RFC 5026";
    INTERNAL_IP6_LINK = 17, "INTERNAL_IP6_LINK", "RFC 5739";
    INTERNAL_IP6_PREFIX = 18, "INTERNAL_IP6_PREFIX", "RFC 5739";
    INTERNAL_DNS_DOMAIN = 25, "INTERNAL_DNS_DOMAIN", "RFC 8598";
    INTERNAL_DNSSEC_TA = 26, "INTERNAL_DNSSEC_TA", "RFC 8598";
}

registry! {
    /// What an EAP packet is (RFC 3748 §4).
    EapCode(u8), "EAP code":
    REQUEST = 1, "Request", "RFC 3748 §4.1";
    RESPONSE = 2, "Response", "RFC 3748 §4.1";
    SUCCESS = 3, "Success", "RFC 3748 §4.2";
    FAILURE = 4, "Failure", "RFC 3748 §4.2";
}
