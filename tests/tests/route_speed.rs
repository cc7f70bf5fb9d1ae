//! How fast routes change, by the thousand and one at a time.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::{Duration, Instant};

use control::client::Client;
use control::instance::RunDir;
use control::message::{ROUTES_PER_REQUEST, Request, Route, RouteTarget};
use tests::{Family, Privilege, TwoHosts};

fn route(prefix: &str) -> Route {
    let target = RouteTarget::Via {
        next_hop: Family::Ip4.address_b().parse().unwrap(),
        interface: None,
    };
    Route::new(prefix.parse().unwrap(), target)
}

/// Far less than there is: the figures are printed.
#[test]
fn routes_change_fast_by_the_thousand_and_one_at_a_time() {
    const COUNT: u32 = 50_000;
    let hosts = TwoHosts::create(Privilege::detect()).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let directory = RunDir::new(&primary.run_dir()).instance(&primary.instance().parse().unwrap());
    let mut client = Client::connect(&directory, "tests").unwrap();
    let routes: Vec<Route> = (0..COUNT)
        .map(|number| {
            let [_, high, middle, low] = number.to_be_bytes();
            route(&format!("{}.{middle}.{low}.0/24", 20 + high))
        })
        .collect();
    let began = Instant::now();
    for chunk in routes.chunks(ROUTES_PER_REQUEST) {
        let routes = chunk.to_vec();
        client
            .call(Request::RouteAdd {
                routes,
                replace: false,
            })
            .unwrap();
    }
    for chunk in routes.chunks(ROUTES_PER_REQUEST) {
        let routes = chunk.iter().map(|route| route.prefix.into()).collect();
        client.call(Request::RouteDelete { routes }).unwrap();
    }
    let rate = f64::from(2 * COUNT) / began.elapsed().as_secs_f64();
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            // When it is answered, the next packet goes by it.
            let (routes, began) = (vec![routes[0].clone()], Instant::now());
            client
                .call(Request::RouteAdd {
                    routes,
                    replace: true,
                })
                .unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    let one = times[times.len() / 2];
    println!("{rate:.0} changes per second; one is there after {one:?}");
    assert!(rate > 100_000.0, "{rate:.0} changes per second");
    assert!(one < Duration::from_millis(1), "one change took {one:?}");
}
