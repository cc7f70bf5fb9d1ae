//! TOA: the first segments of a connection tell the server who the client is (TCP option 254).

use tests::{Family, Listener, both_families};

use crate::site::{Arms, LIMIT, Site};

both_families! {
    a_server_is_told_the_client_s_address_on_the_first_segments,
}

/// The options of a segment, by kind.
fn options(segment: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let end = usize::from(segment[12] >> 4) * 4;
    let mut rest = &segment[20..end];
    let mut found = Vec::new();
    while let [kind, more @ ..] = rest {
        match kind {
            0 => break,
            1 => rest = more,
            _ => {
                let length = usize::from(more[0]);
                found.push((*kind, rest[2..length].to_vec()));
                rest = &rest[length..];
            }
        }
    }
    found
}

fn a_server_is_told_the_client_s_address_on_the_first_segments(family: Family) {
    let mut site = Site::create(family, Arms::Two, 1);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler rr --toa");
    let listener = Listener::start(&site.servers, "eth0").unwrap();
    let clients = Listener::start(&site.client, "eth0").unwrap();
    let answer = site.curl(48);
    assert!(answer.starts_with("server "), "{answer}");
    let tcp = family.choose(34, 54);
    let of_tcp = |frames: Vec<Vec<u8>>, protocol: usize| -> Vec<Vec<u8>> {
        let frames = frames.into_iter();
        frames
            .filter(|frame| frame[protocol] == 6)
            .map(|frame| frame[tcp..].to_vec())
            .collect()
    };
    let protocol = family.choose(23, 20);
    let came = tests::wait_until("the connection's end", LIMIT, || {
        let came = of_tcp(listener.frames(), protocol);
        // Of the client and of no probe: its FIN.
        let ended = came.iter().any(|segment| segment[13] & 1 != 0);
        Ok(ended.then_some(came))
    })
    .unwrap();
    let client: std::net::IpAddr = site.client_address(48).parse().unwrap();
    let address = match client {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    let told: Vec<bool> = came
        .iter()
        .map(|segment| {
            let toa = options(segment).into_iter().find(|(kind, _)| *kind == 254);
            toa.is_some_and(|(_, value)| value[2..] == address[..])
        })
        .collect();
    assert!(told[0] && told[1], "SYN and the segment after it: {told:?}");
    assert!(!told.last().unwrap(), "{told:?}");
    // What a client may send leaves room for the option.
    let synack = of_tcp(clients.frames(), protocol)
        .into_iter()
        .find(|segment| segment[13] & 0x12 == 0x12)
        .unwrap();
    let mss = options(&synack)
        .into_iter()
        .find(|(kind, _)| *kind == 2)
        .unwrap()
        .1;
    let (usual, toa) = family.choose((1460, 8), (1440, 20));
    assert_eq!(u16::from_be_bytes([mss[0], mss[1]]), usual - toa);
    site.assert_balanced();
}
