//! `cargo xtask demo ra`: a packet that asks the routers on its way for something is read by one, and goes on.

use std::{fs, time::Duration};

use ::tests::{Family, Listener, Primary, Privilege, TwoHosts};

use super::PAGES;
use crate::{
    cargo,
    error::Error,
    host::Host,
    kept,
    packages::{self, Needs},
    progress::{say, show, step},
    session,
};

const LIMIT: Duration = Duration::from_secs(60);
const TOPOLOGY: &str = "
r0  eth0 ─────────── a0  gateway  b0 ─────────── eth0  r2
2001:db8:1::2    2001:db8:1::1    2001:db8:2::1    2001:db8:2::2
                 (tollgate-primary, tollgate-ra-relay)";
const RULES: &str = "[[rule]]
name    = \"demo\"
family  = \"ipv6\"
values  = \"5\"
handler = \"log\"
";
/// To a host behind r2, with the router alert option, value 5, and a TCP segment.
const PACKET: &str = "IPv6(src='2001:db8::214:51ff:fe2f:1556', dst='2404:6800:4005:803::200e', hlim=255)\
                      /IPv6ExtHdrHopByHop(options=[RouterAlert(value=5)])/TCP(sport=80, dport=80, window=65535)/Raw('";
const TEXT: &str = "请将网卡的MTU缩小为1300，并且调整下面的内核参数：\\nnet.core.rmem_default = 400382\\n";
/// Where a frame has its packet, and that its hop limit.
const ETHERNET: usize = 14;
const HOP_LIMIT: usize = ETHERNET + 7;

/// Runs the demo and puts the host back.
pub(crate) fn run() -> Result<(), Error> {
    kept::refuse_if_up()?;
    let privilege = session::privilege()?;
    packages::install(Needs::DemoOfRouterAlert)?;
    cargo::build_programs(&["primary", "ctl", "hugepage-setup", "ra-relay"])?;
    let host = Host::prepare(privilege, PAGES)?;
    let seen = perform(privilege);
    host.restore_after(seen)?;
    say!("    host as before");
    Ok(())
}

fn perform(privilege: Privilege) -> Result<(), Error> {
    step!("two routers and a gateway between them, in network namespaces of their own");
    show(TOPOLOGY);
    let hosts = TwoHosts::create_for(privilege, &Family::BOTH)?;
    let builder = hosts.primary("demo-ra");
    let mut primary = builder.route("2404:6800::/32", Family::Ip6.address_b()).start()?;
    primary.wait_for_addresses()?;
    relay(&hosts, &primary)?;
    step!("stopping the primary with SIGTERM");
    primary.terminate()?;
    Ok(())
}

fn relay(hosts: &TwoHosts, primary: &Primary) -> Result<(), Error> {
    step!("tollgate-ra-relay with one rule");
    show(RULES);
    let file = primary.config_path().with_file_name("ra.toml");
    fs::write(&file, RULES).map_err(|error| Error::Unexpected(format!("{}: {error}", file.display())))?;
    let mut relay = primary
        .tool("relays", "tollgate-ra-relay", &["--config"])?
        .arg(&file)
        .start()?;
    relay.wait_for_stderr("that it relays", LIMIT, |line| line.starts_with("relaying"))?;
    step!("r0 sends a packet with the router alert option to a host behind r2");
    let mut listener = Listener::start(&hosts.host_b, "eth0")?;
    let mac = hosts.gateway.mac(TwoHosts::PORT_A)?;
    let frame = format!("Ether(dst='{mac}', src='02:00:00:00:00:0a')/{PACKET}{TEXT}'.encode())");
    show(&frame);
    let sent = hosts.host_a.send_frames("eth0", &[frame])?.frames;
    let sent = sent.first().map(Vec::as_slice).unwrap_or_default();
    let far =
        |frame: &[u8]| frame.get(ETHERNET + 24..ETHERNET + 40) == sent.get(ETHERNET + 24..ETHERNET + 40);
    let arrived = listener.wait_for("the packet behind the gateway", LIMIT, far)?;
    step!("what the relay read in it");
    relay.wait_for_stdout("what is in it", LIMIT, |line| line.contains("rmem_default"))?;
    show(&relay.stdout());
    step!("what is different about it at r2");
    let different: Vec<_> = (ETHERNET..sent.len().max(arrived.len()))
        .filter(|at| sent.get(*at) != arrived.get(*at))
        .collect();
    if different != [HOP_LIMIT] {
        return Err(Error::Unexpected(format!(
            "the packet differs at the bytes {different:?} of its frame, and should at {HOP_LIMIT} alone"
        )));
    }
    say!(
        "    of its {} bytes one, the hop limit: {} became {}",
        sent.len() - ETHERNET,
        sent.get(HOP_LIMIT).copied().unwrap_or_default(),
        arrived.get(HOP_LIMIT).copied().unwrap_or_default()
    );
    step!("tollgate-ctl punt show");
    show(&primary.ctl(&["punt", "show"])?.success()?.stdout);
    step!("stopping the relay with SIGTERM; its report");
    let status = relay.terminate()?;
    show(&relay.stderr());
    if !status.success() {
        return Err(Error::Unexpected(format!("the relay did not end well: {status}")));
    }
    Ok(())
}
