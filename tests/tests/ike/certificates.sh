# Makes the certificates and keys of the tests, by OpenSSL 3, in the folder where it runs: NAME.pem and NAME.key for both ends, west and
# east, by each kind of key.
set -eu

ec256="-algorithm EC -pkeyopt ec_paramgen_curve:P-256"

authority() { # name, subject
    openssl genpkey $ec256 -out "$1.key"
    openssl req -x509 -new -key "$1.key" -subj "$2" -days 3650 -out "$1.pem" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

issue() { # name, subject, issuer, extensions
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    printf '%b' "$4" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -days 3650 -extfile "$1.ext" -out "$1.pem"
}

leaf() { # end, kind, key options, issuer
    openssl genpkey $3 -out "$1-$2.key"
    chmod 600 "$1-$2.key"
    issue "$1-$2" "/C=AQ/O=Tollgate tests/CN=$1" "$4" \
        "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nsubjectAltName=DNS:$1.example.org\n"
}

authority root "/C=AQ/O=Tollgate tests/CN=root"
authority other "/C=AQ/O=Others/CN=other root"
# Large, so that a message with it does not fit into a packet.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out intermediate.key
issue intermediate "/C=AQ/O=Tollgate tests/CN=intermediate" root \
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nnsComment=$(printf %02000d 0)\n"

for end in west east; do
    leaf $end rsa "-algorithm RSA -pkeyopt rsa_keygen_bits:2048" intermediate
    cat intermediate.pem >> $end-rsa.pem
    leaf $end ecdsa256 "$ec256" root
    leaf $end ecdsa384 "-algorithm EC -pkeyopt ec_paramgen_curve:P-384" root
    leaf $end ed25519 "-algorithm ED25519" root
    leaf $end other "$ec256" other
done

# Valid in 2020 alone: nothing but `openssl ca` makes such.
openssl genpkey $ec256 -out east-expired.key
openssl req -new -key east-expired.key -subj "/CN=east" -out east-expired.csr
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\npolicy=p\nrand_serial=yes\n[p]\ncommonName=supplied\n' > ca.cnf
: > index
openssl ca -batch -notext -config ca.cnf -md sha256 -cert root.pem -keyfile root.key -in east-expired.csr \
    -startdate 20200101000000Z -enddate 20201231000000Z -extfile east-ed25519.ext -out east-expired.pem
