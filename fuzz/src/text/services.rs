//! Files of services for `tollgate-ctl service restore`.

use control::message::{Service, ServiceProtocol};

/// A line of each form, and a whole file.
pub fn seeds() -> Vec<Vec<u8>> {
    let text = "# services\nservice add tcp 10.0.0.100:80 --scheduler wrr --toa --deny 192.0.2.0/24,198.51.100.7 --timeout 60\n\
                server add tcp 10.0.0.100:80 192.168.100.2:8080 --weight 3 --max-connections 9 # first\n\
                laddr add tcp 10.0.0.100:80 192.168.100.200 --dev lan\nservice add icmpv6 2001:db8::1 --no-fast-xmit\n\
                ipvsadm -A -t [2001:db8::1]:80 -s rr\n-a -t [2001:db8::1]:80 -r 2001:db8:1::2 -b -w 1\n\
                -Pt [2001:db8::1]:80 -z 2001:db8:1::200 -F lan\n--add-service --udp-service=10.0.0.100:53 --conn-timeout 30\n";
    let lines = text.lines().map(|line| line.as_bytes().to_vec());
    lines.chain([text.as_bytes().to_vec()]).collect()
}

/// What is understood can be, each thing once; what is not is answered with the line.
pub fn body(bytes: &[u8]) {
    match ctl::parse_services("services", bytes) {
        Ok(services) => services.iter().for_each(check),
        Err(sentence) => assert!(sentence.starts_with("services:"), "{sentence}"),
    }
}

fn check(service: &Service) {
    service
        .check()
        .unwrap_or_else(|fault| panic!("{service:?}: {}", fault.sentence));
    let is_icmp = matches!(
        service.id.protocol,
        ServiceProtocol::Icmp | ServiceProtocol::Icmpv6
    );
    assert_eq!(service.id.port == 0, is_icmp, "{service:?}");
}
