//! A tool that writes into its memory what no tool would.

use std::{
    fs,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use control::{
    client::Client,
    instance::RunDir,
    message::{CapturePoint, CaptureRequest, Request},
};

use crate::{LIMIT, hosts, is_soak, pings};

/// A generator of numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn a_tool_that_writes_nonsense_into_its_memory_is_cut_off_and_the_primary_forwards_on() {
    let hosts = hosts();
    let primary = hosts.primary("gw").start().unwrap();
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    let rounds: u64 = if is_soak() { 200 } else { 20 };
    let pinger = pings(&hosts, if is_soak() { 60 } else { 8 });
    let mut cut_off = 0;
    for round in 1..=rounds {
        let mut numbers = Numbers(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut client = Client::connect(&directory, "hostile").unwrap();
        let request = CaptureRequest {
            points: CapturePoint::ALL.to_vec(),
            snaplen: 128,
            ..CaptureRequest::default()
        };
        let mut descriptors = Vec::new();
        client
            .call_with(Request::CaptureStart(request), &mut descriptors)
            .unwrap();
        let files: Vec<_> = descriptors.into_iter().map(fs::File::from).collect();
        assert!(
            files[0].write_at(&[1; 64], 0).is_err(),
            "packets are the primary's"
        );
        let length = files[1].metadata().unwrap().len();
        let begin = Instant::now();
        // Until the primary has had enough.
        while begin.elapsed() < Duration::from_millis(300) {
            for _ in 0..5000 {
                let value = match numbers.next() % 3 {
                    0 => numbers.next() as u32,
                    1 => numbers.next() as u32 % 64,
                    _ => u32::MAX - numbers.next() as u32 % 64,
                };
                let place = numbers.next() % (length / 4) * 4;
                files[1].write_at(&value.to_ne_bytes(), place).unwrap();
            }
            if client.call(Request::CaptureShow).is_err() {
                cut_off += 1;
                break;
            }
        }
    }
    pinger.finish(LIMIT * 2).unwrap().assert_all_answered();
    assert!(cut_off > rounds / 2, "{cut_off} of {rounds} were cut off");
    let workers = primary.ctl_json(&["worker", "show"]).unwrap();
    assert!(
        workers[0]["bad_verdicts"].as_u64().unwrap() >= cut_off,
        "{workers}"
    );
    assert_eq!(
        primary.ctl_json(&["capture", "show"]).unwrap(),
        serde_json::json!([])
    );
    // An honest tool finds memory for itself.
    let mut client = Client::connect(&directory, "honest").unwrap();
    let answer = client.call(Request::CaptureStop).unwrap_err();
    assert!(answer.message.contains("no capture"), "{answer}");
}
