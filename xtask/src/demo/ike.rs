//! `cargo xtask demo ike`: two gateways agree on keys with each other, and two hosts talk through what is protected by these.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Duration,
};

use ::tests::{
    Interface, Namespace, NamespaceOptions, Primary, Privilege, Process, Wait, run as run_command,
};

use crate::{
    cargo,
    error::Error,
    host::Host,
    kept,
    packages::{self, Needs},
    progress::{say, show, step},
    session,
};

/// Two primaries.
const PAGES: u64 = 640;
const LIMIT: Duration = Duration::from_secs(60);
const TOPOLOGY: &str = "
clientns veth_client ─ client  initiator  ifinit ─── ifresp  responder  server ─ veth_server serverns
192.168.5.2/24     192.168.5.1   192.168.10.1       192.168.10.2     192.168.3.1     192.168.3.2/24
fec5::2/16         fec5::1                 ESP, ipsec0                     fec3::1        fec3::2/16";
const KEY: &str = "Vpp123";
/// How tshark calls the cipher of this IKE SA.
const CIPHER: &str = "AES-GCM-256 with 16 octet ICV [RFC5282]";
/// The same for its child SA.
const ESP_CIPHER: &str = "AES-GCM with 16 octet ICV [RFC4106]";
const ESP_ICV: &str = "NULL";
/// In each family.
const PINGS: usize = 6;

/// One gateway and the host behind it.
struct Side {
    name: &'static str,
    host: &'static str,
    /// The link to the host, on both ends, and the one to the other gateway.
    inside: &'static str,
    host_link: &'static str,
    outside: &'static str,
    address: &'static str,
    /// The third number of the host's IPv4 network, and the first of its IPv6 one.
    network: u8,
    network6: &'static str,
}

const SIDES: [Side; 2] = [
    Side {
        name: "initiator",
        host: "clientns",
        inside: "client",
        host_link: "veth_client",
        outside: "ifinit",
        address: "192.168.10.1",
        network: 5,
        network6: "fec5",
    },
    Side {
        name: "responder",
        host: "serverns",
        inside: "server",
        host_link: "veth_server",
        outside: "ifresp",
        address: "192.168.10.2",
        network: 3,
        network6: "fec3",
    },
];

impl Side {
    /// The primary's configuration beside interfaces.
    fn tunnel(&self, other: &Side) -> String {
        let (local, remote, inside) = (self.address, other.address, self.inside);
        let (network, network6) = (other.network, other.network6);
        format!(
            "[[tunnel]]\nname = \"ipsec0\"\nmode = \"esp\"\nlocal = \"{local}\"\nremote = \"{remote}\"\nunnumbered = \"{inside}\"\n\n\
             [[route]]\nprefix = \"192.168.{network}.0/24\"\ntunnel = \"ipsec0\"\n\n\
             [[route]]\nprefix = \"{network6}::/16\"\ntunnel = \"ipsec0\"\n"
        )
    }

    /// The daemon's configuration.
    fn profile(&self, other: &Side) -> String {
        format!(
            "[[profile]]\nname           = \"pr1\"\nlocal_address  = \"{}\"\nremote_address = \"{}\"\npsk_file       = \"pr1.psk\"\n\
             ike_proposals  = [\"aes256gcm16-prfsha256-modp2048\"]\n\n\
             [[profile.child]]\ntunnel        = \"ipsec0\"\nesp_proposals = [\"aes256gcm16-esn\"]\n\
             local_ts      = [\"192.168.{}.0/24\", \"{}::/16\"]\nremote_ts     = [\"192.168.{}.0/24\", \"{}::/16\"]\n",
            self.address, other.address, self.network, self.network6, other.network, other.network6
        )
    }

    fn primary(&self, privilege: Privilege, namespace: &Namespace, other: &Side) -> ::tests::PrimaryBuilder {
        let inside = Interface::af_packet(self.inside)
            .address(&format!("192.168.{}.1/24", self.network))
            .address(&format!("{}::1/16", self.network6));
        let outside = Interface::af_packet(self.outside).address(&format!("{}/24", self.address));
        Primary::builder(privilege, self.name)
            .netns(namespace)
            .interface(inside)
            .interface(outside)
            .toml(&self.tunnel(other))
    }
}

/// What is up during the demo. Dropped from top to bottom.
struct Stage {
    daemons: Vec<Process>,
    primaries: [Primary; 2],
    hosts: [Namespace; 2],
    _gateways: [Namespace; 2],
}

/// Runs the demo and puts the host back.
pub(crate) fn run() -> Result<(), Error> {
    kept::refuse_if_up()?;
    let privilege = session::privilege()?;
    packages::install(Needs::DemoOfIke)?;
    cargo::build_programs(&["primary", "ctl", "hugepage-setup", "pdump", "ikev2d"])?;
    let host = Host::prepare(privilege, PAGES)?;
    let seen = Stage::set(privilege).and_then(Stage::perform);
    host.restore_after(seen)?;
    say!("    host as before");
    Ok(())
}

impl Stage {
    fn set(privilege: Privilege) -> Result<Self, Error> {
        step!("two hosts and two gateways, in network namespaces of their own");
        show(TOPOLOGY);
        let options = NamespaceOptions {
            ipv6: true,
            ..NamespaceOptions::default()
        };
        let [client, server] = &SIDES;
        let hosts = [
            Namespace::create_with(privilege, client.host, options)?,
            Namespace::create_with(privilege, server.host, options)?,
        ];
        let gateways = [
            Namespace::create(privilege, client.name)?,
            Namespace::create(privilege, server.name)?,
        ];
        let [initiator, responder] = &gateways;
        initiator.connect(client.outside, responder, server.outside)?;
        for ((host, gateway), side) in hosts.iter().zip(&gateways).zip(&SIDES) {
            let (link, network, network6) = (side.host_link, side.network, side.network6);
            host.connect(link, gateway, side.inside)?;
            host.add_address(link, &format!("192.168.{network}.2/24"))?;
            host.add_address(link, &format!("{network6}::2/16"))?;
            host.add_route("default", &format!("192.168.{network}.1"))?;
            host.add_route("default", &format!("{network6}::1"))?;
        }
        step!("starting a tollgate-primary in each gateway's namespace");
        let (one, other) = client
            .primary(privilege, initiator, server)
            .start_both(server.primary(privilege, responder, client))?;
        Ok(Self {
            daemons: Vec::new(),
            primaries: [one, other],
            hosts,
            _gateways: gateways,
        })
    }

    fn perform(mut self) -> Result<(), Error> {
        self.start_daemons()?;
        let [initiator, responder] = &self.primaries;
        let file = initiator.config_path().with_file_name("ike.pcapng");
        step!("tollgate-pdump on ifinit, while 'tollgate-ctl ike initiate pr1' negotiates");
        let filter = "udp port 500 or udp port 4500 or esp";
        let mut pdump = initiator
            .pdump(&["-i", "ifinit", "-f", filter, "-w"])?
            .arg(&file)
            .start()?;
        pdump.wait_for_stderr("that it captures", LIMIT, |line| line.starts_with("capturing"))?;
        initiator.ctl(&["ike", "initiate", "pr1"])?.success()?;
        say!("    established");
        for to in ["192.168.3.2", "fec3::2"] {
            self.ping(to)?;
        }
        pdump.terminate()?;
        for (primary, side) in self.primaries.iter().zip(&SIDES) {
            for words in [&["ike", "show", "--details"][..], &["sa", "show"]] {
                step!("{}: tollgate-ctl {}", side.name, words.join(" "));
                show(&primary.ctl(words)?.success()?.stdout);
            }
        }
        self.trace()?;
        self.read(&file)?;
        step!("initiator: tollgate-ctl ike terminate pr1");
        initiator.ctl(&["ike", "terminate", "pr1"])?.success()?;
        ::tests::wait_until("the end of all SAs", LIMIT, || {
            let left = responder.ctl_json(&["sa", "show"])?;
            Ok(left.as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
        say!("    no SA is left at the responder");
        step!("stopping daemons and primaries with SIGTERM");
        for daemon in &mut self.daemons {
            daemon.terminate()?;
        }
        for primary in &mut self.primaries {
            primary.terminate()?;
        }
        Ok(())
    }

    fn start_daemons(&mut self) -> Result<(), Error> {
        let [client, server] = &SIDES;
        for (primary, (side, other)) in self.primaries.iter().zip([(client, server), (server, client)]) {
            step!("tollgate-ikev2d of the {}, with this configuration", side.name);
            let text = side.profile(other);
            show(&text);
            let written = |path: &PathBuf, text: &str, mode| {
                fs::write(path, text)
                    .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
                    .map_err(|error| Error::Unexpected(format!("{}: {error}", path.display())))
            };
            let folder = primary.config_path();
            let (config, key) = (
                folder.with_file_name("ike.toml"),
                folder.with_file_name("pr1.psk"),
            );
            written(&config, &text, 0o644)?;
            written(&key, KEY, 0o600)?;
            let mut daemon = primary
                .tool("negotiates", "tollgate-ikev2d", &["--config"])?
                .arg(&config)
                .start()?;
            daemon.wait_for_stderr("that it is attached", LIMIT, |line| line.starts_with("attached"))?;
            self.daemons.push(daemon);
        }
        Ok(())
    }

    /// Six pings, of which the first has to be answered as well.
    fn ping(&self, to: &str) -> Result<(), Error> {
        let [client, _] = &self.hosts;
        step!("clientns: ping -c 6 {to}");
        let words = ["ping", "-c", "6", "-i", "0.2", "-W", "2", to];
        let pinged = client.run_within(LIMIT, "sends pings", &words)?;
        show(&pinged.stdout);
        if !pinged.stdout.contains(" 6 received") {
            return Err(Error::Unexpected(format!("a ping to {to} was not answered")));
        }
        Ok(())
    }

    fn trace(&self) -> Result<(), Error> {
        let [client, _] = &self.hosts;
        for (primary, side) in self.primaries.iter().zip(&SIDES) {
            let filter = if side.network == 5 { "icmp" } else { "esp" };
            let link = if side.network == 5 {
                side.inside
            } else {
                side.outside
            };
            let words = ["trace", "start", "-n", "1", "-i", link, "-f", filter];
            primary.ctl(&words)?.success()?;
        }
        client
            .run_within(
                LIMIT,
                "sends a ping",
                &["ping", "-c", "1", "-W", "2", "192.168.3.2"],
            )?
            .success()?;
        for (primary, side) in self.primaries.iter().zip(&SIDES) {
            step!("{}: tollgate-ctl trace show, of one ping", side.name);
            show(&primary.ctl(&["trace", "show"])?.success()?.stdout);
        }
        Ok(())
    }

    /// Has tshark decrypt the exchange with the keys that root may ask for.
    fn read(&self, file: &PathBuf) -> Result<(), Error> {
        let [initiator, _] = &self.primaries;
        let shown = initiator.ctl_json(&["ike", "show", "--details", "--secrets"])?;
        let sa = &shown["sas"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let (spi_i, spi_r) = (text(&sa["initiator_spi"]), text(&sa["responder_spi"]));
        let (sk_ei, sk_er) = (text(&sa["sk_e"]["i"]), text(&sa["sk_e"]["r"]));
        let table = format!(
            "uat:ikev2_decryption_table:{spi_i},{spi_r},{sk_ei},{sk_er},\"{CIPHER}\",\"\",\"\",\"NONE [RFC4306]\""
        );
        let child = &sa["children"][0];
        let esp = [("inbound_spi", "in"), ("outbound_spi", "out")].map(|(spi, key)| {
            let (spi, key) = (child[spi].as_u64().unwrap_or_default(), text(&child["keys"][key]));
            format!("uat:esp_sa:\"IPv4\",\"*\",\"*\",\"{spi:#010x}\",\"{ESP_CIPHER}\",\"0x{key}\",\"{ESP_ICV}\",\"\"")
        });
        step!("what tshark reads in the capture, with the keys of 'ike show --details --secrets'");
        let privilege = self.hosts[0].privilege();
        let tshark = |more: &[&str]| {
            let mut tshark = privilege.command("tshark");
            tshark.arg("-n").arg("-r").arg(file).args(["-o", &table]);
            tshark.args([
                "-o",
                "esp.enable_encryption_decode:TRUE",
                "-o",
                &esp[0],
                "-o",
                &esp[1],
            ]);
            tshark.args(more);
            privilege.announce(&tshark, "reads the capture");
            Ok::<_, Error>(run_command(tshark, Wait::Interruptible(LIMIT))?.success()?.stdout)
        };
        show(&tshark(&[])?);
        let fields = [
            "-Y",
            "isakmp.exchangetype == 35",
            "-T",
            "fields",
            "-e",
            "isakmp.typepayload",
        ];
        let payloads = tshark(&fields)?;
        // 39 is AUTH, which is inside of what is encrypted.
        let decrypted = payloads
            .lines()
            .filter(|line| line.split(',').any(|kind| kind == "39"));
        if decrypted.count() != 2 {
            return Err(Error::Unexpected(format!(
                "tshark finds no AUTH payload in both messages of IKE_AUTH, but these payloads:\n{payloads}"
            )));
        }
        let pings = tshark(&["-Y", "icmp || icmpv6"])?.lines().count();
        if pings != 2 * 2 * PINGS {
            return Err(Error::Unexpected(format!(
                "tshark finds {pings} pings and answers in ESP, and there were {}",
                2 * 2 * PINGS
            )));
        }
        say!("    both messages of IKE_AUTH were decrypted, and all pings in ESP");
        Ok(())
    }
}
