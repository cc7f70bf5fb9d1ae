#!/bin/sh
# Makes the certificates, keys and signatures of the tests anew, by OpenSSL 3. Files that it writes are what the tests read; it is run
# by hand when a test needs another one. Leaves are valid for 1000 days, authorities for 10,000.
set -eu
cd "$(dirname "$0")"
rm -f ./*.pem ./*.key ./*.sig

root_subject="/C=AQ/O=Tollgate tests/CN=root"

authority() { # name, key options, subject, days
    openssl genpkey $2 -out "$1.key" 2>/dev/null
    openssl req -x509 -new -key "$1.key" -subj "$3" -days "${4:-10000}" -out "$1.pem" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

issue() { # name, subject, issuer, days, extensions, hash
    openssl req -new -key "$1.key" -subj "$2" -out request.csr
    printf '%b' "$5" > extensions.cnf
    openssl x509 -req -in request.csr -CA "$3.pem" -CAkey "$3.key" -days "$4" -extfile extensions.cnf ${6:-} -out "$1.pem" 2>/dev/null
    rm request.csr extensions.cnf
}

ec256="-algorithm EC -pkeyopt ec_paramgen_curve:P-256"
ec384="-algorithm EC -pkeyopt ec_paramgen_curve:P-384"
rsa="-algorithm RSA -pkeyopt rsa_keygen_bits:2048"

authority root "$ec384" "$root_subject"
# The same name, another key.
authority impostor "$ec384" "$root_subject"
authority other "-algorithm ED25519" "/C=AQ/O=Others/CN=other root"
# Valid for less long than what it issues.
authority brief "$ec256" "/C=AQ/O=Tollgate tests/CN=brief" 100

openssl genpkey $rsa -out intermediate.key 2>/dev/null
issue intermediate "/C=AQ/O=Tollgate tests/CN=intermediate" root 10000 \
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"

leaf() { # end, kind, key options, issuer
    name="$1-$2"
    openssl genpkey $3 -out "$name.key" 2>/dev/null
    number=1
    [ "$1" = right ] && number=2
    issue "$name" "/C=AQ/O=Tollgate tests/CN=$1" "$4" 1000 \
        "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.17\nsubjectKeyIdentifier=hash\n\
subjectAltName=DNS:$1.example.org,email:$1@example.org,IP:192.0.2.$number,IP:2001:db8::$number\n"
}

for end in left right; do
    leaf $end ecdsa256 "$ec256" root
    leaf $end ecdsa384 "$ec384" root
    leaf $end rsa "$rsa" intermediate
    leaf $end ed25519 "-algorithm ED25519" root
done
# Old forms of keys.
openssl ec -in left-ecdsa256.key -out sec1.key 2>/dev/null
openssl rsa -in left-rsa.key -traditional -out pkcs1.key 2>/dev/null

odd() { # name, subject, issuer, extensions, hash
    openssl genpkey $ec256 -out "$1.key" 2>/dev/null
    issue "$1" "$2" "$3" 1000 "$4" "${5:-}"
}
san="subjectAltName=DNS:left.example.org\n"
odd odd-usage "/CN=usage" root "keyUsage=keyEncipherment\n$san"
odd odd-purpose "/CN=purpose" root "extendedKeyUsage=codeSigning\n$san"
odd odd-tls "/CN=tls" root "extendedKeyUsage=serverAuth\n$san"
odd odd-impostor "/CN=impostor" impostor "$san"
odd odd-other "/CN=other" other "$san"
odd odd-nobodys "/CN=nobodys" left-ecdsa256 "$san"
odd odd-brief "/CN=brief leaf" brief "$san"
odd odd-sha1 "/CN=sha1" root "$san" -sha1
odd odd-issuer "/CN=issuer" root "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature\n"
odd odd-issued "/CN=issued" odd-issuer "$san"
odd odd-critical "/CN=critical" root "1.2.3.4=critical,ASN1:UTF8String:what\n$san"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out odd-short.key 2>/dev/null
issue odd-short "/CN=short" root 1000 "$san"
openssl genpkey -algorithm ED448 -out odd-ed448.key 2>/dev/null
issue odd-ed448 "/CN=ed448" root 1000 "$san"

# Signatures over the same octets.
printf 'octets that are signed' > octets
for hash in 256 384 512; do
    openssl dgst -sha$hash -sign left-rsa.key -out rsa-sha$hash.sig octets
    openssl dgst -sha$hash -sign left-rsa.key -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -out pss-sha$hash.sig octets
done
openssl dgst -sha1 -sign left-rsa.key -out rsa-sha1.sig octets
openssl dgst -sha256 -sign left-ecdsa256.key -out ecdsa256-sha256.sig octets
openssl dgst -sha384 -sign left-ecdsa384.key -out ecdsa384-sha384.sig octets
openssl pkeyutl -sign -rawin -inkey left-ed25519.key -in octets -out ed25519.sig
rm octets root.key impostor.key other.key brief.key intermediate.key odd-*.key
