//! A gateway that initiates, and what answers it: another gateway, or a namespace for something else.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use ::tests::{Interface, Namespace, Primary, PrimaryBuilder, Privilege, Process, wait_until};

use crate::error::Error;

/// The profile of both gateways.
pub(super) const PROFILE: &str = "pr1";
/// A profile of the initiator's that has no IKE SAs.
pub(super) const QUIET: &str = "quiet";
pub(super) const KEY: &str = "Vpp123";
/// Addresses of both ends.
pub(super) const WEST: &str = "10.0.0.1";
pub(super) const EAST: &str = "10.0.0.2";
/// What is behind them.
const BEHIND: [&str; 2] = ["192.168.1.0/24", "192.168.2.0/24"];
pub(super) const WEST_LINK: &str = "w0";
pub(super) const EAST_LINK: &str = "e0";
const LIMIT: Duration = Duration::from_secs(60);

/// What both ends propose.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proposals {
    Ecp256,
    /// As in the worked example.
    Modp2048,
}

impl Proposals {
    pub(super) fn ike(self) -> &'static str {
        match self {
            Self::Ecp256 => "aes128gcm16-prfsha256-ecp256",
            Self::Modp2048 => "aes256gcm16-prfsha256-modp2048",
        }
    }

    pub(super) fn esp(self) -> &'static str {
        match self {
            Self::Ecp256 => "aes128gcm16-noesn",
            Self::Modp2048 => "aes256gcm16-esn",
        }
    }
}

/// Whether daemons write logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// As they do unless they are told otherwise, into a file.
    Usual,
    Nothing,
}

/// What is up during a turn. Ends from top to bottom.
pub(super) struct Site {
    daemons: Vec<Process>,
    /// The gateway that initiates.
    pub(super) west: Primary,
    east: Option<Primary>,
    pub(super) namespaces: [Namespace; 2],
}

impl Site {
    /// With ours at both ends, and room for the SAs of so many handshakes.
    pub(super) fn with_ours(
        privilege: Privilege,
        proposals: Proposals,
        handshakes: u32,
        log: Log,
    ) -> Result<Self, Error> {
        let namespaces = connected(privilege)?;
        let west = primary(privilege, &namespaces[0], End::West, handshakes);
        let east = primary(privilege, &namespaces[1], End::East, handshakes);
        let (west, east) = west.start_both(east)?;
        let daemons = vec![
            daemon(&west, End::West, proposals, log)?,
            daemon(&east, End::East, proposals, log)?,
        ];
        Ok(Self {
            daemons,
            west,
            east: Some(east),
            namespaces,
        })
    }

    /// With ours at one end.
    pub(super) fn alone(privilege: Privilege, proposals: Proposals, log: Log) -> Result<Self, Error> {
        let namespaces = connected(privilege)?;
        let west = primary(privilege, &namespaces[0], End::West, 64).start()?;
        Ok(Self {
            daemons: vec![daemon(&west, End::West, proposals, log)?],
            west,
            east: None,
            namespaces,
        })
    }

    /// The gateway that answers.
    pub(super) fn east(&self) -> Result<&Primary, Error> {
        let nobody = || Error::Unexpected("it is not ours that answers".to_owned());
        self.east.as_ref().ok_or_else(nobody)
    }

    /// Pid of the daemon that answers, which was started last.
    pub(super) fn answering(&self) -> u32 {
        self.daemons.last().map_or(0, Process::pid)
    }

    /// Pid of its primary.
    pub(super) fn answering_primary(&mut self) -> u32 {
        self.east.as_mut().map_or(0, |east| east.process().pid())
    }

    /// What it has said last.
    pub(super) fn said(&self) -> String {
        const LINES: usize = 10;
        let all = self.daemons.last().map(Process::stderr).unwrap_or_default();
        let lines: Vec<_> = all.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Ends daemons and primaries.
    pub(super) fn end(mut self) -> Result<(), Error> {
        for daemon in &mut self.daemons {
            daemon.terminate()?;
        }
        for primary in [Some(&mut self.west), self.east.as_mut()].into_iter().flatten() {
            primary.terminate()?;
        }
        Ok(())
    }
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    West,
    East,
}

impl End {
    /// Addresses here and there, the link, and what is behind here and there.
    fn ends(self) -> ([&'static str; 2], &'static str, [&'static str; 2]) {
        let [west, east] = BEHIND;
        match self {
            Self::West => ([WEST, EAST], WEST_LINK, [west, east]),
            Self::East => ([EAST, WEST], EAST_LINK, [east, west]),
        }
    }
}

fn connected(privilege: Privilege) -> Result<[Namespace; 2], Error> {
    let west = Namespace::create(privilege, "west")?;
    let east = Namespace::create(privilege, "east")?;
    west.connect(WEST_LINK, &east, EAST_LINK)?;
    Ok([west, east])
}

fn primary(privilege: Privilege, namespace: &Namespace, end: End, handshakes: u32) -> PrimaryBuilder {
    let ([local, remote], link, [_, behind]) = end.ends();
    // Both directions, and some that are on their way out.
    let sas = 2 * handshakes + 1024;
    Primary::builder(privilege, "ike")
        .netns(namespace)
        .interface(Interface::af_packet(link).address(&format!("{local}/24")))
        .memory_mb(512)
        .toml(&format!(
            "[limits]\nsas = {sas}\n\
             [[punt]]\nclass = \"ike\"\nrate = 100000\nburst = 1000\n\
             [[tunnel]]\nname = \"ipsec0\"\nmode = \"esp\"\nlocal = \"{local}\"\nremote = \"{remote}\"\nunnumbered = \"{link}\"\n\
             [[route]]\nprefix = \"{behind}\"\ntunnel = \"ipsec0\"\n"
        ))
}

fn profile(name: &str, tunnel: &str, end: End, proposals: Proposals) -> String {
    let ([local, remote], _, [here, there]) = end.ends();
    let (ike, esp) = (proposals.ike(), proposals.esp());
    format!(
        "[[profile]]\nname = \"{name}\"\nlocal_address = \"{local}\"\nremote_address = \"{remote}\"\npsk_file = \"ike.psk\"\n\
         ike_proposals = [\"{ike}\"]\n\
         [[profile.child]]\ntunnel = \"{tunnel}\"\nesp_proposals = [\"{esp}\"]\nlocal_ts = [\"{here}\"]\nremote_ts = [\"{there}\"]\n"
    )
}

/// Starts a daemon, and waits until it has its packets.
fn daemon(primary: &Primary, end: End, proposals: Proposals, log: Log) -> Result<Process, Error> {
    // All come from one address and one peer: neither their share nor cookies are what is measured.
    let mut text =
        "[ike]\ncookie_threshold = 4096\nmax_half_open_per_source = 4096\nmax_ike_per_peer = 1000000\n"
            .to_owned();
    text += &profile(PROFILE, "ipsec0", end, proposals);
    if end == End::West {
        text += &profile(QUIET, "ipsec1", end, proposals);
    }
    let config = primary.config_path().with_file_name("ike.toml");
    write(&config, &text, 0o644)?;
    write(&config.with_file_name("ike.psk"), KEY, 0o600)?;
    let words: &[&str] = match log {
        Log::Usual => &["--config"],
        Log::Nothing => &["--quiet", "--config"],
    };
    let daemon = primary
        .tool("negotiates", "tollgate-ikev2d", words)?
        .arg(&config)
        .log(&config.with_extension("log"))
        .start()?;
    wait_until("that the daemon answers", LIMIT, || {
        let shown = primary.ctl(&["ike", "show"])?;
        Ok(shown.status.success().then_some(()))
    })?;
    Ok(daemon)
}

/// Writes a file with a mode.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    super::super::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| Error::File {
        action: "change the mode of",
        path: path.to_owned(),
        source,
    })
}
