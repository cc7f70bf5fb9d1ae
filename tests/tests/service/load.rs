//! Many requests at a time while servers come and go.

use std::thread::sleep;
use std::time::Duration;

use tests::{Family, wait_until};

use crate::site::{Arms, LIMIT, Site};

/// Seconds under load; with `TOLLGATE_SOAK` set, thirty.
fn seconds() -> u64 {
    if std::env::var_os("TOLLGATE_SOAK").is_some() {
        30
    } else {
        6
    }
}

#[test]
fn no_request_fails_while_servers_are_added_and_quiesced() {
    let mut site = Site::create(Family::Ip4, Arms::Two, 2);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler wrr");
    let service = "tcp 10.0.0.100:80";
    let seconds = seconds();
    let duration = format!("{seconds}s");
    // A connection for each request, so that servers are chosen all the time.
    let words = [
        "-t",
        "2",
        "-c",
        "32",
        "-d",
        &duration,
        "-H",
        "Connection: close",
        "http://10.0.0.100/",
    ];
    let mut wrk = site.client.process("asks", "wrk").args(words).start().unwrap();
    let pause = Duration::from_millis(seconds * 1000 / 8);
    for step in [
        format!("server set {service} 192.168.100.3:80 --weight 0"),
        format!("server set {service} 192.168.100.3:80 --weight 3"),
        format!("server set {service} 192.168.100.2:80 --weight 0"),
    ] {
        sleep(pause);
        site.balancer.tell(&step);
    }
    // A server that is quiesced is removed when nobody needs it any more.
    wait_until("that the connections of the server have ended", LIMIT, || {
        let open = ["syn_recv", "established", "fin_wait", "close_wait"].map(|state| {
            let words = [
                "conn",
                "show",
                "--server",
                "192.168.100.2",
                "--state",
                state,
                "--limit",
                "1",
            ];
            site.balancer.ctl_json(&words)
        });
        for shown in open {
            if !shown?.as_array().unwrap().is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .unwrap();
    site.balancer
        .tell(&format!("server del {service} 192.168.100.2:80"));
    sleep(pause);
    site.balancer
        .tell(&format!("server add {service} 192.168.100.2:80 --weight 2"));
    assert!(wrk.wait(Duration::from_secs(60)).unwrap().success());
    let shown = wrk.stdout();
    assert!(!shown.contains("Non-2xx"), "{shown}");
    let errors = shown.lines().find(|line| line.contains("Socket errors"));
    assert_eq!(errors, None, "{shown}");
    let requests = shown
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    let requests: u64 = requests.unwrap().0.parse().unwrap();
    assert!(requests > 100, "{shown}");
    let services = site.balancer.ctl_json(&["service", "show"]).unwrap();
    assert!(
        services[0]["connections"].as_u64().unwrap() >= requests,
        "{services}"
    );
    site.assert_balanced();
}
