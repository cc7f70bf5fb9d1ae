//! `cargo xtask demo`: two hosts in namespaces of their own talk through a primary.

pub(crate) mod ike;
pub(crate) mod router_alert;

use std::time::Duration;

use ::tests::{Family, Primary, Privilege, TwoHosts, Wait, interrupt, run as run_command};

use crate::{
    cargo,
    error::Error,
    host::Host,
    kept,
    packages::{self, Needs},
    progress::{say, show, step},
    session,
    summary::{Flow, Pings, Summary, iperf3_rate, sum},
};

/// What one primary with the default limits and its memory needs, in pages of 2 MB.
const PAGES: u64 = 320;
/// Five pings or five seconds of TCP, on a host that is busy with other things.
const TRAFFIC_LIMIT: Duration = Duration::from_secs(60);

const TOPOLOGY: &str = "
host-a  eth0 ─────────── a0  gateway  b0 ─────────── eth0  host-b
192.168.1.2/24   192.168.1.1      192.168.2.1   192.168.2.2/24
2001:db8:1::2/64 2001:db8:1::1    2001:db8:2::1 2001:db8:2::2/64
                     (tollgate-primary on net_af_packet)";

/// What is up during the demo. Dropped from top to bottom.
pub(crate) struct Stage {
    pub(crate) primary: Primary,
    pub(crate) hosts: TwoHosts,
}

/// Runs the demo and puts the host back, or leaves everything up if `keep`.
pub(crate) fn run(keep: bool) -> Result<(), Error> {
    kept::refuse_if_up()?;
    let privilege = session::privilege()?;
    packages::install(Needs::Demo)?;
    cargo::build_programs(&["primary", "ctl", "hugepage-setup", "pdump"])?;
    let host = Host::prepare(privilege, PAGES)?;
    if keep {
        return match Stage::set(privilege).and_then(|mut stage| stage.perform().map(|_| stage)) {
            Ok(stage) => kept::leave_up(stage, host),
            Err(error) => host.restore_after(Err(error)),
        };
    }
    let seen = Stage::set(privilege).and_then(|mut stage| {
        let seen = stage.perform()?;
        stage.clear()?;
        Ok(seen)
    });
    let seen = host.restore_after(seen)?;
    step!("what was seen");
    show(&seen.to_string());
    say!("    host        as before");
    Ok(())
}

impl Stage {
    /// Builds the topology and starts the primary.
    fn set(privilege: Privilege) -> Result<Self, Error> {
        step!("two hosts and a gateway, in network namespaces of their own");
        show(TOPOLOGY);
        let hosts = TwoHosts::create_for(privilege, &Family::BOTH)?;
        step!("starting tollgate-primary in the gateway's namespace");
        let primary = hosts.primary("demo").start()?;
        say!("    instance {} says `ready`", primary.instance());
        Ok(Self { primary, hosts })
    }

    /// Sends traffic and shows the tables before and after.
    fn perform(&mut self) -> Result<Summary, Error> {
        for table in ["link", "addr", "route", "neigh"] {
            self.show_table(table)?;
        }
        let seen = match self.traffic() {
            Ok(seen) => seen,
            Err(error) => return Err(self.with_log(error)),
        };
        for table in ["link", "neigh", "drop"] {
            self.show_table(table)?;
        }
        seen.judge().map_err(|error| self.with_log(error))?;
        Ok(seen)
    }

    fn traffic(&self) -> Result<Summary, Error> {
        let mut flows = Vec::new();
        for family in Family::BOTH {
            flows.push(Flow {
                family,
                pings: self.ping(family)?,
                rate: self.iperf3(family)?,
            });
        }
        let captured = self.capture()?;
        let links = self.primary.ctl_json(&["link", "show"])?;
        Ok(Summary {
            flows,
            captured,
            forwarded: sum(&links, "tx_packets").saturating_sub(sum(&links, "originated")),
            dropped: sum(&self.primary.ctl_json(&["drop", "show"])?, "packets"),
        })
    }

    fn ping(&self, family: Family) -> Result<Pings, Error> {
        step!("host-a pings host-b five times by {family}");
        let words = ["ping", "-c", "5", "-i", "0.2", "-W", "2", family.address_b()];
        let answer = self
            .hosts
            .host_a
            .run_within(TRAFFIC_LIMIT, "sends pings", &words)?;
        show(&answer.stdout);
        let pings = Pings::read(&answer.stdout)
            .ok_or_else(|| Error::Unexpected(format!("ping could not send: {}", answer.stderr.trim())))?;
        if pings.received != pings.sent {
            return Err(Error::Unexpected(format!(
                "{} of {} pings were answered",
                pings.received, pings.sent
            )));
        }
        Ok(pings)
    }

    fn iperf3(&self, family: Family) -> Result<f64, Error> {
        step!("iperf3: TCP over {family} from host-a to host-b for three seconds");
        let mut server = self
            .hosts
            .host_b
            .process("receives TCP", "iperf3")
            .args(["--server", "--one-off", "--forceflush"])
            .start()?;
        server.wait_for_stdout("that it listens", TRAFFIC_LIMIT, |line| {
            line.starts_with("Server listening")
        })?;
        let words = [
            "iperf3",
            "--client",
            family.address_b(),
            "--time",
            "3",
            "--json",
            "--connect-timeout",
            "5000",
        ];
        let report = self
            .hosts
            .host_a
            .run_within(TRAFFIC_LIMIT, "sends TCP", &words)?
            .json()?;
        let rate = iperf3_rate(&report).ok_or_else(|| {
            let reason = report["error"].as_str().unwrap_or("nothing arrived");
            Error::Unexpected(format!("iperf3 moved no data through the primary: {reason}"))
        })?;
        say!("    {:.0} Mbit/s", rate / 1e6);
        Ok(rate)
    }

    /// Attaches a capture while pings flow, and has tshark read the file. Gives how many packets are in it.
    fn capture(&self) -> Result<u64, Error> {
        let file = self.primary.config_path().with_file_name("demo.pcapng");
        step!("tollgate-pdump -i a0 -f icmp -w demo.pcapng, while host-a pings host-b");
        let mut pdump = self
            .primary
            .pdump(&["-i", TwoHosts::PORT_A, "-f", "icmp", "-w"])?
            .arg(&file)
            .start()?;
        pdump.wait_for_stderr("that it captures", TRAFFIC_LIMIT, |line| {
            line.starts_with("capturing")
        })?;
        let words = ["ping", "-c", "3", "-i", "0.2", "-W", "2", TwoHosts::ADDRESS_B];
        self.hosts
            .host_a
            .run_within(TRAFFIC_LIMIT, "sends pings", &words)?
            .success()?;
        self.show_table("capture")?;
        // As Ctrl-C does.
        let status = pdump.terminate()?;
        show(&pdump.stderr());
        if !status.success() {
            return Err(Error::Unexpected(format!(
                "the capture did not end well: {status}"
            )));
        }
        step!("what tshark reads in it");
        let privilege = self.hosts.host_a.privilege();
        let mut tshark = privilege.command("tshark");
        tshark.arg("-n").arg("-r").arg(&file);
        privilege.announce(&tshark, "reads the capture");
        let read = run_command(tshark, Wait::Interruptible(TRAFFIC_LIMIT))?.success()?;
        show(&read.stdout);
        Ok(read.stdout.lines().count() as u64)
    }

    fn show_table(&self, object: &str) -> Result<(), Error> {
        step!("tollgate-ctl {object} show");
        show(&self.primary.ctl(&[object, "show"])?.success()?.stdout);
        Ok(())
    }

    /// Stops the primary and takes the topology down.
    fn clear(mut self) -> Result<(), Error> {
        step!("stopping the primary with SIGTERM");
        let status = self.primary.terminate()?;
        if !status.success() {
            return Err(self.with_log(Error::Unexpected(format!(
                "the primary did not end well: {status}"
            ))));
        }
        Ok(())
    }

    /// Leaves everything up when this process ends.
    pub(crate) fn leave_running(self) {
        self.primary.leave_running();
        for namespace in [self.hosts.host_a, self.hosts.host_b, self.hosts.gateway] {
            namespace.leave_running();
        }
    }

    /// The error with what the primary had to say, unless the user just wants the end.
    fn with_log(&mut self, error: Error) -> Error {
        if interrupt::check().is_err() {
            return error;
        }
        Error::Unexpected(format!(
            "{error}\nthe primary's log:\n{}",
            self.primary.process().stderr()
        ))
    }
}
