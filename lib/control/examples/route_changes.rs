//! How fast the routes of a running primary change: by the thousand, and one at a time.
//!
//! `route_changes RUN_DIR INSTANCE SECONDS NEXT_HOP OTHER_NEXT_HOP` adds /24s below 127.0.0.0/8, where no packet goes, changes and deletes
//! them for so many seconds, and prints two figures: changes per second, and the seconds from asking for one change to its answer. When
//! it is answered, the next packet goes by it.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control::client::Client;
use control::instance::RunDir;
use control::message::{ROUTES_PER_REQUEST, Request, Route, RouteTarget};
use ipnet::{IpNet, Ipv4Net};

/// Prefixes that are changed.
const PREFIXES: u32 = 50_000;
/// Changes one at a time; the median counts.
const SINGLE: usize = 301;

fn main() -> ExitCode {
    match measure() {
        Ok((rate, one)) => {
            println!("{rate:.0} changes per second, one in {:.9} s", one.as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("route_changes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(f64, Duration), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run_dir, instance, seconds, next_hop, other] = &arguments[..] else {
        return Err("needs RUN_DIR INSTANCE SECONDS NEXT_HOP OTHER_NEXT_HOP".into());
    };
    let directory = RunDir::new(Path::new(run_dir)).instance(&instance.parse()?);
    let mut client = Client::connect(&directory, "route_changes")?;
    let (next_hop, other) = (next_hop.parse()?, other.parse()?);
    let [routes, changed] = [next_hop, other].map(|next_hop| {
        let via = |prefix| {
            Route::new(
                prefix,
                RouteTarget::Via {
                    next_hop,
                    interface: None,
                },
            )
        };
        prefixes().map(via).collect::<Vec<_>>()
    });
    let (limit, began) = (Duration::from_secs_f64(seconds.parse()?), Instant::now());
    let mut changes = 0;
    while began.elapsed() < limit {
        for (number, routes) in [&routes, &changed].into_iter().enumerate() {
            for chunk in routes.chunks(ROUTES_PER_REQUEST) {
                let (routes, replace) = (chunk.to_vec(), number > 0);
                client.call(Request::RouteAdd { routes, replace })?;
                changes += chunk.len();
            }
        }
        for chunk in routes.chunks(ROUTES_PER_REQUEST) {
            let routes = chunk.iter().map(|route| route.prefix.into()).collect();
            client.call(Request::RouteDelete { routes })?;
            changes += chunk.len();
        }
    }
    let rate = changes as f64 / began.elapsed().as_secs_f64();
    let mut times = Vec::with_capacity(SINGLE);
    for route in routes.iter().take(1).chain(&changed[..1]).cycle().take(SINGLE) {
        let (routes, began) = (vec![route.clone()], Instant::now());
        client.call(Request::RouteAdd {
            routes,
            replace: true,
        })?;
        times.push(began.elapsed());
    }
    times.sort();
    let routes = vec![routes.first().ok_or("there are no prefixes")?.prefix.into()];
    client.call(Request::RouteDelete { routes })?;
    Ok((rate, times[SINGLE / 2]))
}

fn prefixes() -> impl Iterator<Item = IpNet> {
    // Spread over the block: neighbours in the table are not what comes next.
    let network = |number: u32| 127 << 24 | (number.wrapping_mul(40_503) & 0xffff) << 8;
    (0..PREFIXES).filter_map(move |number| {
        let net = Ipv4Net::new(Ipv4Addr::from_bits(network(number)), 24).ok()?;
        Some(net.into())
    })
}
