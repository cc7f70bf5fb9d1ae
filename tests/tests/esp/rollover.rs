//! SAs take each other's place ten times a second, while numbered datagrams go both ways: not one is lost.

use std::{
    env,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use control::{
    client::Client,
    instance::RunDir,
    message::{NewSa, Request, Sa, SaDirection, SaId, SaKeys, SaLifetime, SaMode},
};
use tests::{Family, Primary, Receiver, datagrams::Received};
use zeroize::Zeroizing;

use crate::site::{LIMIT, Pair, Site, TUNNEL, end, host_address};

const GCM: &str = "aes256gcm16";
/// What one roll takes: somewhat more than ten a second.
const TURN: Duration = Duration::from_millis(80);
const ROLLS_PER_SECOND: u32 = 10;
/// Of each way.
const DATAGRAMS_PER_SECOND: u32 = 3000;
const FLOWS: u32 = 8;
/// Rolls that an SA still opens packets for after its successor began to seal: what is under way needs no longer.
const LATE: u32 = 2;

/// The SAs of the rolls begin here: one of each direction for each.
const FIRST: u32 = 0x10_0000;

/// One end, and whom it is asked by. Without a process for each question there is time for ten rolls a second.
struct End {
    client: Client,
    /// 1 is in the west.
    number: u8,
}

impl End {
    fn new(primary: &Primary, number: u8) -> Self {
        let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
        Self {
            client: Client::connect(&directory, "tests").unwrap(),
            number,
        }
    }

    /// Installs its SA of a roll, of this direction.
    fn add(&mut self, roll: u32, direction: SaDirection) {
        let sa = new_sa(self.number, roll, direction);
        let add = Request::SaAdd {
            sas: vec![sa],
            replace: false,
        };
        self.client.call(add).unwrap();
    }

    fn delete(&mut self, roll: u32, direction: SaDirection) {
        let Sa { destination, spi, .. } = new_sa(self.number, roll, direction).sa;
        let delete = Request::SaDelete(vec![SaId { destination, spi }]);
        self.client.call(delete).unwrap();
    }
}

fn new_sa(number: u8, roll: u32, direction: SaDirection) -> NewSa {
    let eastward = (number == 1) == (direction == SaDirection::Out);
    let address = |number| -> IpAddr { end(Family::Ip4, number).parse().unwrap() };
    let (from, to) = if eastward { (1, 2) } else { (2, 1) };
    let pair = Pair {
        spi: FIRST + 2 * roll + u32::from(eastward),
        eastward,
        transform: GCM,
        more: "",
    };
    NewSa {
        sa: Sa {
            spi: pair.spi,
            direction,
            tunnel: Some(TUNNEL.to_owned()),
            mode: SaMode::Tunnel,
            source: address(from),
            destination: address(to),
            transform: GCM.to_owned(),
            esn: true,
            window: Sa::DEFAULT_WINDOW,
            udp: None,
            keepalive: Sa::DEFAULT_KEEPALIVE,
            selectors: Vec::new(),
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        },
        keys: SaKeys::new(Zeroizing::new(pair.key())),
        sequence: 0,
    }
}

/// The next SAs: each end can open by them before the other one seals.
fn roll(ends: &mut [End; 2], number: u32) {
    for direction in [SaDirection::In, SaDirection::Out] {
        for end in &mut *ends {
            end.add(number, direction);
        }
    }
    for (direction, age) in [(SaDirection::Out, 1), (SaDirection::In, LATE)] {
        if let Some(old) = number.checked_sub(age) {
            for end in &mut *ends {
                end.delete(old, direction);
            }
        }
    }
}

fn assert_nothing_is_lost(workers: usize) {
    let seconds = if env::var_os("TOLLGATE_SOAK").is_some() {
        30
    } else {
        4
    };
    let site = Site::create(Family::Ip4, workers);
    let mut ends = [End::new(&site.west, 1), End::new(&site.east, 2)];
    roll(&mut ends, 0);
    site.warm_up(Family::Ip4);
    let count = seconds * DATAGRAMS_PER_SECOND;
    let ways = [(&site.host_a, &site.host_b, 2), (&site.host_b, &site.host_a, 1)];
    let receivers = ways.map(|(from, to, number)| {
        let address = format!("{}:4789", host_address(Family::Ip4, number));
        (from, Receiver::start(to, &address, FLOWS, count).unwrap())
    });
    let (began, mut rolls) = (Instant::now(), 0);
    thread::scope(|scope| {
        let senders = receivers.each_ref().map(|(from, receiver)| {
            scope.spawn(|| receiver.send_from(from, 400, DATAGRAMS_PER_SECOND).unwrap())
        });
        while !senders.iter().all(|sender| sender.is_finished()) {
            rolls += 1;
            roll(&mut ends, rolls);
            thread::sleep((began + rolls * TURN).saturating_duration_since(Instant::now()));
        }
    });
    let took = began.elapsed();
    println!("{workers} workers: {rolls} rolls in {took:?}");
    for (_, receiver) in receivers {
        let report = receiver.report(LIMIT).unwrap();
        // Where SAs belong to workers by turns, the first packets of one may overtake the last ones of another.
        let all = Received {
            received: count,
            out_of_order: if workers > 1 { report.total.out_of_order } else { 0 },
            ..Received::default()
        };
        assert_eq!(report.total, all);
    }
    assert!(rolls >= ROLLS_PER_SECOND * seconds, "{rolls} in {took:?}");
    site.assert_balanced();
    for primary in [&site.west, &site.east] {
        let counters = primary.counters().unwrap();
        counters.assert_no_esp_drops("SAs in each other's place");
    }
}

#[test]
fn sas_take_each_others_place_ten_times_a_second_under_load_without_a_datagram_lost() {
    assert_nothing_is_lost(1);
}

#[test]
fn sas_that_take_each_others_place_change_workers_without_a_datagram_lost() {
    assert_nothing_is_lost(2);
}
