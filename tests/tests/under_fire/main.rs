//! One port under fire, and what another one still gets through.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod floods;
mod site;

use std::time::Duration;

use floods::Flood;
use site::Site;

#[test]
fn explore() {
    let site = Site::start();
    let ordinary = floods::ordinary(site.mac);
    let rate: u32 = std::env::var("RATE").ok().and_then(|r| r.parse().ok()).unwrap_or(100_000);
    let ms: u64 = std::env::var("MS").ok().and_then(|r| r.parse().ok()).unwrap_or(300);
    let t = Duration::from_millis(ms);
    for flood in [Flood::Arp, Flood::Nd, Flood::Expired, Flood::Options, Flood::Unresolvable, Flood::Fragments, Flood::Punts] {
        let frames = flood.frames(site.mac);
        let mut ratios = vec![];
        let only = std::env::var("ONLY").unwrap_or_default();
        if !only.is_empty() && format!("{flood:?}") != only { continue; }
        let n = std::env::var("N").ok().and_then(|r| r.parse().ok()).unwrap_or(4);
        for _ in 0..n {
            let a = site.turn(&ordinary, rate, t, |_| ());
            let b = site.turn(&frames, rate, t, |_| ());
            ratios.push(b.goodput / a.goodput);
            eprintln!("{flood:?} {:.3} goodput {:.3e} {:.3e} offered {:.0} {:.0}", b.goodput / a.goodput, a.goodput, b.goodput, a.offered, b.offered);
            tests::wait_until("x", Duration::from_secs(20), || Ok((site.counters().sum(|i| i.waiting) == 0 || flood == Flood::Fragments).then_some(()))).unwrap();
        }
    }
    eprintln!("{:?}", site.counters().drops());
}
