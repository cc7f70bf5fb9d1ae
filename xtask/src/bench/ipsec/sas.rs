//! The SAs of the bench, installed by a client of the control socket.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use ::tests::{Primary, Privilege, Wait, run};
use clap::ValueEnum;
use control::{
    client::Client,
    instance::RunDir,
    message::{NewSa, Request, Sa, SaDirection, SaKeys, SaLifetime, SaMode},
};
use zeroize::Zeroizing;

use super::super::number_of;
use crate::{cargo, error::Error, progress::say};

/// The transform of all of them, and their keys: 32 bytes of AES, then the salt.
pub(super) const TRANSFORM: &str = "aes256gcm16";
const KEY_BYTES: usize = 36;
/// SPIs of the SAs that packets go by, one for each tunnel, and of those that go back.
pub(super) const FIRST_SPI: u32 = 0x1_0000;
const FIRST_SPI_BACK: u32 = 0x2_0000;
/// Where packets are sealed.
pub(super) const SEALER: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
/// What all ends of the other side are in.
pub(super) const OPENERS: &str = "198.19.128.0/17";
/// To install any number of them on a host that is busy.
const LIMIT: Duration = Duration::from_secs(120);

/// Whose SAs they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Of the gateway that seals: the one end of all tunnels.
    Seals,
    /// Of the gateway that opens what that has sealed.
    Opens,
    /// Of no tunnel.
    Alone,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Seals => "seals",
            Self::Opens => "opens",
            Self::Alone => "alone",
        }
    }
}

/// The end of a tunnel where packets are opened.
pub(super) fn opener(tunnel: u32) -> Ipv4Addr {
    // There are fewer than 2^15.
    Ipv4Addr::from_bits(0xc613_8001 + tunnel)
}

/// The name of a tunnel.
pub(super) fn tunnel_name(tunnel: u32) -> String {
    format!("t{tunnel}")
}

/// The keys: random ones would be no slower, and other programs need the same.
pub(super) fn keys() -> Vec<u8> {
    (0..KEY_BYTES as u8).collect()
}

/// Installs the SAs of so many tunnels, or so many that are alone, and says how long that took; `at_a_time` by a request.
pub(super) fn install(
    privilege: Privilege,
    primary: &Primary,
    side: Side,
    count: u32,
    at_a_time: usize,
) -> Result<Duration, Error> {
    if privilege == Privilege::Direct {
        return install_here(&primary.run_dir(), primary.instance(), side, count, at_a_time);
    }
    let mut command = privilege.command(cargo::own_program());
    command.arg("install-sas").arg(primary.run_dir());
    command.args([primary.instance(), side.word()]);
    command.args([count.to_string(), at_a_time.to_string()]);
    privilege.announce(&command, "installs SAs");
    let answer = run(command, Wait::Interruptible(LIMIT))?.success()?;
    Ok(Duration::from_secs_f64(number_of(&answer.stdout)?))
}

/// The other end of [`install`].
pub(crate) fn tell_install(
    run_dir: &Path,
    instance: &str,
    side: Side,
    count: u32,
    at_a_time: usize,
) -> Result<(), Error> {
    let took = install_here(run_dir, instance, side, count, at_a_time)?;
    say!("{}", took.as_secs_f64());
    Ok(())
}

fn install_here(
    run_dir: &Path,
    instance: &str,
    side: Side,
    count: u32,
    at_a_time: usize,
) -> Result<Duration, Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Unexpected(format!("SAs cannot be installed: {error}"));
    let name = instance.parse().map_err(|error| failed(&error))?;
    let directory = RunDir::new(run_dir).instance(&name);
    let mut client = Client::connect(&directory, "bench").map_err(|error| failed(&error))?;
    let sas: Vec<NewSa> = (0..count).flat_map(|number| of(side, number)).collect();
    // What is measured is the primary and the way there, not how requests are thought up.
    let requests: Vec<Request> = sas
        .chunks(at_a_time.max(1))
        .map(|sas| Request::SaAdd {
            sas: sas.to_vec(),
            replace: false,
        })
        .collect();
    let began = Instant::now();
    for request in requests {
        client.call(request).map_err(|error| failed(&error))?;
    }
    Ok(began.elapsed())
}

/// The SAs of a tunnel at one side, or one that is alone.
fn of(side: Side, number: u32) -> Vec<NewSa> {
    let (there, back) = match side {
        Side::Seals => (SaDirection::Out, Some(SaDirection::In)),
        Side::Opens => (SaDirection::In, Some(SaDirection::Out)),
        Side::Alone => (SaDirection::In, None),
    };
    let tunnel = back.map(|_| tunnel_name(number));
    let (sealer, opener): (IpAddr, IpAddr) = (SEALER.into(), opener(number).into());
    let sa = |spi, direction, source, destination| NewSa {
        sa: Sa {
            spi,
            direction,
            tunnel: tunnel.clone(),
            mode: SaMode::Tunnel,
            source,
            destination,
            transform: TRANSFORM.to_owned(),
            esn: false,
            // The same packets come over and over.
            window: 0,
            udp: None,
            keepalive: 0,
            selectors: Vec::new(),
            soft: SaLifetime::default(),
            hard: SaLifetime::default(),
        },
        keys: SaKeys::new(Zeroizing::new(keys())),
        sequence: 0,
    };
    let mut sas = vec![sa(FIRST_SPI + number, there, sealer, opener)];
    sas.extend(back.map(|direction| sa(FIRST_SPI_BACK + number, direction, opener, sealer)));
    sas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_seals_the_other_opens() {
        for number in [0, 999] {
            let [seals, opens] = [Side::Seals, Side::Opens].map(|side| of(side, number));
            assert_eq!(seals.len(), 2);
            for (sealing, opening) in seals.iter().zip(&opens) {
                assert_eq!(sealing.sa.id(), opening.sa.id());
                assert_ne!(sealing.sa.direction, opening.sa.direction);
                assert_eq!(control::sas::check(&sealing.sa), Ok(()));
                assert_eq!(control::sas::check(&opening.sa), Ok(()));
            }
        }
        let alone = of(Side::Alone, 7);
        assert_eq!((alone.len(), &alone[0].sa.tunnel), (1, &None));
    }

    #[test]
    fn all_ends_are_where_the_route_to_them_leads() {
        let openers: ipnet::IpNet = OPENERS.parse().unwrap();
        for number in [0, 999, 8191] {
            assert!(openers.contains(&IpAddr::from(opener(number))));
        }
    }
}
