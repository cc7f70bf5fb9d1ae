//! Services in files: written down, applied to a primary that runs, read by the next one.

use std::fs;
use std::time::Instant;

use tests::{Family, Primary, Privilege};

use crate::site::{Arms, LIMIT, Site};

/// Asks over one connection, once for each line that it is told, and says who answered whom.
const ASKS: &str = "
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
for _ in sys.stdin:
    connection.request('GET', '/')
    print(connection.getresponse().read().decode().strip(), flush=True)
";

#[test]
fn services_change_with_a_file_while_connections_that_can_stay_do() {
    let mut site = Site::create(Family::Ip4, Arms::Two, 2);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler wlc");
    site.balancer.tell("service add icmp 10.0.0.100");
    site.balancer.tell("server add icmp 10.0.0.100 192.168.100.2");
    site.balancer
        .tell("laddr add icmp 10.0.0.100 192.168.100.200 --dev lan");
    let show = |site: &Site| site.balancer.tell("config show");
    let folder = site.balancer.config_path();
    let file = folder.with_file_name("changed.toml");
    let apply = |site: &Site, text: &str, more: &str| {
        fs::write(&file, text).unwrap();
        site.balancer
            .tell(&format!("config apply {} {more}", file.display()))
    };
    let runs = show(&site);
    assert_eq!(apply(&site, &runs, ""), "nothing differs\n");

    let words = ["-c", ASKS, "10.0.0.100"];
    let client = site
        .client
        .process("asks over one connection", "python3")
        .args(words);
    let mut client = client.with_stdin().start().unwrap();
    let mut ask = || client.ask("", "what the server answers", LIMIT).unwrap();
    let first = ask();
    assert!(first.contains(": 192.168.100.200:"), "{first}");

    // Another scheduler, weights, one more local address and service; the ICMP one goes.
    let (before, icmp) = runs.split_once("\n[[service]]\nprotocol = \"icmp\"").unwrap();
    assert!(!icmp.contains("[[service]]"), "{icmp}");
    let changed = before
        .replace("\"wlc\"", "\"rr\"")
        .replace("weight = 1", "weight = 7")
        .replace(
            "    { address = \"192.168.100.200\", interface = \"lan\" },\n",
            "    { address = \"192.168.100.200\", interface = \"lan\" },\n    { address = \"192.168.100.201\", interface = \"lan\" },\n",
        );
    let changed = format!("{changed}\n[[service]]\nprotocol = \"udp\"\naddress = \"10.0.0.100:53\"\n");
    let expected = "~ service tcp 10.0.0.100:80 scheduler rr (was wlc) server 192.168.100.2:80 weight 7 (was 192.168.100.2:80 weight 1) \
                    server 192.168.100.3:80 weight 7 (was 192.168.100.3:80 weight 1) +laddr 192.168.100.201 dev lan\n\
                    + service udp 10.0.0.100:53 scheduler rr\n\
                    - service icmp 10.0.0.100:0 scheduler rr server 192.168.100.2:0 weight 1 laddr 192.168.100.200 dev lan\n";
    assert_eq!(apply(&site, &changed, "--dry-run"), expected);
    assert_eq!(show(&site), runs);
    assert_eq!(apply(&site, &changed, ""), "3 changes\n");
    assert_eq!(ask(), first, "the connection is the same");
    let text = show(&site);
    assert!(text.contains("192.168.100.201"), "{text}");

    // With one fault in it a file changes nothing.
    let other = "\n[[service]]\nprotocol = \"udp\"\naddress = \"10.0.0.100:55\"\n";
    let local = "local_addresses = [{ address = \"10.0.0.100\", interface = \"lan\" }]\n";
    fs::write(&file, format!("{changed}{other}{local}")).unwrap();
    let (_, sentence) = site.balancer.refusal(&format!("config apply {}", file.display()));
    assert!(
        sentence.contains("udp 10.0.0.100:55: its own address cannot be a local address"),
        "{sentence}"
    );
    assert_eq!(show(&site), text);

    // Back again.
    assert_eq!(apply(&site, &runs, ""), "4 changes\n");
    assert_eq!(show(&site), runs);
    assert_eq!(ask(), first);

    // The next primary has them from the start, with the route that rests on the local address.
    let Site {
        mut balancer,
        client: namespace,
        ..
    } = site;
    drop(client);
    assert!(balancer.terminate().unwrap().success());
    let next = Primary::builder(Privilege::detect(), "lb").config(&runs);
    let next = next.start_after(balancer).unwrap();
    assert_eq!(next.tell("config show"), runs);
    let words = ["curl", "-sS", "-m", "10", "http://10.0.0.100/"];
    let shown = namespace.run_within(LIMIT, "asks the service", &words).unwrap();
    assert!(shown.stdout.starts_with("server "), "{shown:?}");
}

#[test]
fn many_services_are_saved_and_restored_all_or_none() {
    const MANY: usize = 1000;
    let site = Site::create(Family::Ip4, Arms::Two, 2);
    let file = site.balancer.config_path().with_file_name("services");
    let mut lines = String::new();
    for port in 0..MANY {
        let service = format!("udp 10.0.0.100:{}", 1000 + port);
        lines += &format!("service add {service} --scheduler rr\n");
        lines += &format!("server add {service} 192.168.100.2:53 --weight 1\n");
        lines += &format!("laddr add {service} 192.168.100.200 --dev lan\n");
    }
    // One that is refused, behind all others.
    let wrong = format!("{lines}service add udp 192.168.100.200:1\n");
    fs::write(&file, wrong).unwrap();
    let restore = format!("service restore {}", file.display());
    let (_, sentence) = site.balancer.refusal(&restore);
    let line = format!(":{}: ", 3 * MANY + 1);
    assert!(
        sentence.contains(&line) && sentence.ends_with("(nothing was added)"),
        "{sentence}"
    );
    assert_eq!(site.balancer.tell("service save"), "");
    fs::write(&file, &lines).unwrap();
    let began = Instant::now();
    assert_eq!(site.balancer.tell(&restore), "1000 services restored\n");
    println!("{MANY} services in {:.2} s", began.elapsed().as_secs_f32());
    assert_eq!(site.balancer.tell("service save"), lines);
    site.balancer.tell("worker zero");
}
