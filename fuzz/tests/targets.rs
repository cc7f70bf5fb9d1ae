//! Each target over its seeds and over what becomes of them, without a fuzzer.

use fuzz::random::Random;
use fuzz::{TARGETS, Target, target};

/// Inputs for each target; more with TOLLGATE_SOAK set.
fn count() -> usize {
    if std::env::var_os("TOLLGATE_SOAK").is_some() {
        200_000
    } else {
        3_000
    }
}

fn run(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    for seed in &seeds {
        (target.body)(seed);
    }
    let mut random = Random::new(7);
    for _ in 0..count() {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(5) {
            change(&mut random, &mut input, &seeds);
        }
        attempt(target, &input);
    }
    for _ in 0..count() / 4 {
        let length = random.below(120);
        attempt(target, &(0..length).map(|_| random.byte()).collect::<Vec<_>>());
    }
}

/// Says what it was that went wrong.
fn attempt(target: &Target, input: &[u8]) {
    struct Tell<'a>(&'a str, &'a [u8]);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("target {}, input {:02x?}", self.0, self.1);
            }
        }
    }
    let _tell = Tell(target.name, input);
    (target.body)(input);
}

fn change(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let length = input.len();
    let at = random.below(length);
    match random.below(6) {
        0 if length > 0 => input[at] ^= 1 << random.below(8),
        1 if length > 0 => input[at] = random.byte(),
        2 => input.truncate(at),
        3 => input.insert(at, random.byte()),
        4 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            input.extend_from_slice(&other[from..]);
        }
        _ if length > 0 => {
            input.remove(at);
        }
        _ => input.push(random.byte()),
    }
}

macro_rules! nothing_upsets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { run(target($name).unwrap()) })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

nothing_upsets! {
    nothing_upsets_the_link_layer: "link",
    nothing_upsets_ipv4: "ipv4",
    nothing_upsets_ipv6: "ipv6",
    nothing_upsets_icmp_errors: "icmp_error",
    nothing_upsets_reassembly: "reassembly",
    nothing_upsets_router_alerts: "router_alert",
    nothing_that_a_helper_sends_upsets_its_relay: "helper",
    nothing_upsets_esp: "esp_open",
    nothing_upsets_ike: "ike",
    nothing_upsets_exchanges_of_ike: "ike_engine",
    nothing_upsets_who_takes_up_ike_sas: "ike_restore",
    nothing_makes_another_certificate_believed: "certificate",
    nothing_upsets_tunnels: "tunnel",
    nothing_upsets_the_load_balancer: "balance",
    nothing_upsets_the_stages: "stages",
    nothing_upsets_filters: "filter",
    nothing_upsets_control_messages: "control",
    nothing_upsets_the_configuration: "config",
    nothing_upsets_files_of_routes: "routes",
    nothing_upsets_files_of_services: "services",
    nothing_upsets_what_is_printed: "print",
    nothing_upsets_readers_of_tables: "tables",
    nothing_upsets_readers_of_the_discovery_page: "discovery",
    nothing_upsets_a_tools_end: "attachment",
    nothing_upsets_the_primarys_end: "verdicts",
}
