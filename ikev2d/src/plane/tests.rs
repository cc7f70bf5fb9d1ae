use std::path::Path as File;

use control::message::NewSa;
use control::sas::ListedSa;

use ikev2::crypto::{EspSuite, Secret};
use ikev2::wire::{IkeSpi, TrafficSelector};

use super::wanted::{GRACE, MARGIN};
use super::*;

/// Writes down what it is asked for, and refuses SAs with the SPIs that it is to refuse.
#[derive(Default)]
struct Fake {
    asked: Vec<String>,
    added: Vec<NewSa>,
    refuses: Vec<u32>,
    sequence: Option<u64>,
}

impl Primary for Fake {
    fn call(&mut self, request: Request) -> Result<Reply, ControlError> {
        let refused = |code, sentence: &str| Err(ControlError::new(code, sentence));
        match request {
            Request::SaAdd { sas, .. } => {
                let names: Vec<String> = sas
                    .iter()
                    .map(|new| format!("{}{}", new.sa.direction.name(), new.sa.spi))
                    .collect();
                self.asked.push(format!("add {}", names.join(" ")));
                if sas.iter().any(|new| self.refuses.contains(&new.sa.spi)) {
                    return refused(ErrorCode::Invalid, "not this one");
                }
                self.added.extend(sas);
            }
            Request::SaDelete(ids) => {
                let names: Vec<String> = ids.iter().map(|id| id.spi.to_string()).collect();
                self.asked.push(format!("delete {}", names.join(" ")));
                if ids.iter().any(|id| self.refuses.contains(&id.spi)) {
                    return refused(ErrorCode::NotFound, "it is gone");
                }
            }
            Request::TunnelSet { name, change } => {
                self.asked.push(format!("{name} to {}", change.remote.unwrap()));
            }
            other => panic!("{other:?}"),
        }
        Ok(Reply::Done)
    }

    fn sequence(&self, _: &SaId) -> Option<u64> {
        self.sequence
    }
}

impl Fake {
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }
}

/// With one profile, and these lines for where its peer is.
pub(crate) fn config(remote: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "secret").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!(
        "[[profile]]\nname = \"pr1\"\nlocal_address = \"192.0.2.1\"\n{remote}\npsk_file = \"{}\"\n\
         [[profile.child]]\nname = \"net\"\ntunnel = \"ipsec0\"\nlocal_ts = [\"10.1.0.0/16\"]\nremote_ts = [\"10.2.0.0/16\"]\n\
         rekey_bytes = 1000\n",
        key.display()
    );
    Config::read(&text, File::new("ike.toml")).unwrap()
}

const FIXED: &str = "remote_address = \"198.51.100.1\"";

fn path(port: u16) -> Path {
    Path {
        local: format!("192.0.2.1:{port}").parse().unwrap(),
        remote: format!("198.51.100.1:{port}").parse().unwrap(),
    }
}

fn pair(number: u32) -> SpiPair {
    SpiPair {
        inbound: 1000 + number,
        outbound: 2000 + number,
    }
}

fn sa(number: u32, in_udp: bool) -> Box<ChildSa> {
    let transforms: Vec<_> = ["aes256gcm16", "esn"].map(|word| word.parse().unwrap()).into();
    let range = |first: &str, last: &str| {
        TrafficSelector::new(0, (0, u16::MAX), first.parse().unwrap(), last.parse().unwrap()).unwrap()
    };
    Box::new(ChildSa {
        ike: IkeSpi([1; 8]),
        profile: "pr1".to_owned(),
        child: "net".to_owned(),
        pair: pair(number),
        suite: EspSuite::new(&transforms).unwrap(),
        key: Secret::from(vec![7; 36]),
        ours: vec![range("10.1.0.0", "10.1.255.255")],
        theirs: vec![range("10.2.0.0", "10.2.255.255")],
        path: path(4500),
        in_udp,
    })
}

fn install(plane: &mut Plane, primary: &mut Fake, config: &Config, number: u32) {
    plane.apply(SaCommand::InstallInbound(sa(number, true)), config, primary);
    plane.apply(SaCommand::InstallOutbound(sa(number, true)), config, primary);
}

fn switch(plane: &mut Plane, primary: &mut Fake, config: &Config, from: Option<u32>, to: u32) {
    let command = SaCommand::Switch {
        from: from.map(pair),
        to: pair(to),
    };
    plane.apply(command, config, primary);
}

#[test]
fn a_pair_is_one_request_and_what_sends_is_installed_when_it_is_used() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(FIXED));
    install(&mut plane, &mut primary, &config, 1);
    switch(&mut plane, &mut primary, &config, None, 1);
    assert_eq!(primary.take(), [""; 0]);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add in1001 out2001"]);
    let [inbound, outbound] = [&primary.added[0], &primary.added[1]];
    assert_eq!(
        (inbound.sa.source, inbound.sa.destination),
        (outbound.sa.destination, outbound.sa.source)
    );
    assert_eq!(
        (inbound.sa.udp, outbound.sa.udp),
        (Some((4500, 4500)), Some((4500, 4500)))
    );
    assert_eq!(
        (outbound.sa.transform.as_str(), outbound.sa.esn),
        ("aes256gcm16", true)
    );
    assert_eq!(
        (outbound.sa.soft.bytes, outbound.sa.hard.seconds),
        (Some(1000), Some(3960 + GRACE))
    );
    assert_eq!(
        outbound.sa.selectors[0].source,
        inbound.sa.selectors[0].destination
    );
    assert_eq!(plane.owner(&outbound.sa.id()), Some(pair(1)));

    // The next is ready before it is used, and what it replaces goes after that.
    install(&mut plane, &mut primary, &config, 2);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add in1002"]);
    switch(&mut plane, &mut primary, &config, Some(1), 2);
    plane.apply(SaCommand::RemoveOutbound(pair(1)), &config, &mut primary);
    plane.apply(SaCommand::RemoveInbound(pair(1).inbound), &config, &mut primary);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add out2002", "delete 2001 1001"]);
    assert_eq!(plane.shown(pair(1)).map(|shown| shown.tunnel), None);
    assert_eq!(plane.shown(pair(2)).map(|shown| shown.tunnel), Some("ipsec0"));
    plane.settle(&mut primary);
    assert_eq!(primary.take(), [""; 0]);
}

#[test]
fn one_that_was_used_before_is_used_again_when_the_later_one_is_gone() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(FIXED));
    for number in [1, 2] {
        install(&mut plane, &mut primary, &config, number);
        switch(
            &mut plane,
            &mut primary,
            &config,
            (number == 2).then_some(1),
            number,
        );
    }
    plane.settle(&mut primary);
    primary.take();
    primary.sequence = Some(55);
    switch(&mut plane, &mut primary, &config, Some(2), 1);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["delete 2002"]);
    // Should the later one be used all the same, its sequence numbers go on.
    switch(&mut plane, &mut primary, &config, Some(1), 2);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add out2002"]);
    assert_eq!(primary.added.last().map(|new| new.sequence), Some(55 + MARGIN));
    switch(&mut plane, &mut primary, &config, Some(2), 1);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["delete 2002"]);
    plane.apply(SaCommand::RemoveOutbound(pair(2)), &config, &mut primary);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), [""; 0]);
}

#[test]
fn one_of_which_nobody_knows_how_far_it_was_is_not_installed_again() {
    let config = config(FIXED);
    // Both ends had begun at once: two pairs for the same traffic, and what was used first is to be used again.
    let begun = || {
        let (mut plane, mut primary) = (Plane::default(), Fake::default());
        for number in [1, 2] {
            install(&mut plane, &mut primary, &config, number);
        }
        switch(&mut plane, &mut primary, &config, None, 1);
        plane.settle(&mut primary);
        primary.take();
        let sent = primary.added.iter().find(|new| new.sa.spi == 2001).unwrap();
        let id = sent.sa.id();
        (plane, primary, id)
    };
    let mut ways: Vec<(&str, Plane, Fake)> = Vec::new();
    let (mut plane, primary, id) = begun();
    assert!(plane.lost(&id));
    ways.push(("deleted in the primary", plane, primary));
    let (mut plane, primary, _) = begun();
    plane.begin(HashMap::new());
    ways.push(("another primary", plane, primary));
    // It had given way, and when that was it was not in the primary.
    let (mut plane, mut primary, _) = begun();
    switch(&mut plane, &mut primary, &config, None, 2);
    plane.settle(&mut primary);
    switch(&mut plane, &mut primary, &config, Some(1), 2);
    plane.settle(&mut primary);
    ways.push(("gone when it was looked for", plane, primary));
    // So near the end that there may be none left.
    let (mut plane, mut primary, _) = begun();
    primary.sequence = Some(u64::MAX - MARGIN);
    switch(&mut plane, &mut primary, &config, None, 2);
    plane.settle(&mut primary);
    switch(&mut plane, &mut primary, &config, Some(1), 2);
    plane.settle(&mut primary);
    ways.push(("no numbers left", plane, primary));
    for (way, mut plane, mut primary) in ways {
        primary.take();
        switch(&mut plane, &mut primary, &config, None, 1);
        plane.settle(&mut primary);
        assert_eq!(primary.take(), [""; 0], "{way}");
        assert_eq!(plane.take_spent(), [1001], "{way}");
    }
    // What was never there is as new, also at another primary.
    let (mut plane, mut primary, _) = begun();
    plane.begin(HashMap::new());
    switch(&mut plane, &mut primary, &config, None, 2);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add out2002"]);
    assert_eq!(plane.take_spent(), [0; 0]);
}

#[test]
fn of_several_that_are_refused_together_those_that_can_be_are_installed() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(FIXED));
    primary.refuses = vec![1002];
    for number in [1, 2] {
        install(&mut plane, &mut primary, &config, number);
    }
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add in1001 in1002", "add in1001", "add in1002"]);
    let problems = plane.take_problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].sentence,
        "the primary takes no SA for it: not this one"
    );
    // What the primary never had is not deleted there, and what it has lost does not keep others.
    primary.refuses = vec![1001];
    for number in [1, 2] {
        plane.apply(
            SaCommand::RemoveInbound(pair(number).inbound),
            &config,
            &mut primary,
        );
    }
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["delete 1001", "delete 1001"]);
}

#[test]
fn what_another_daemon_has_left_goes_when_there_is_something_in_its_place() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(FIXED));
    let id = |spi| SaId {
        destination: [192, 0, 2, 1].into(),
        spi,
    };
    plane.begin(HashMap::from([
        ("ipsec0".to_owned(), vec![id(300), id(301)]),
        ("ipsec1".to_owned(), vec![id(302)]),
    ]));
    install(&mut plane, &mut primary, &config, 1);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add in1001"]);
    switch(&mut plane, &mut primary, &config, None, 1);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add out2001", "delete 300 301"]);
    // At the next primary nothing is there, and nothing is deleted.
    plane.begin(HashMap::new());
    plane.apply(SaCommand::RemoveOutbound(pair(1)), &config, &mut primary);
    plane.apply(SaCommand::RemoveInbound(pair(1).inbound), &config, &mut primary);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), [""; 0]);
}

#[test]
fn a_peer_that_moves_is_followed_beyond_all_numbers_that_were_used() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(FIXED));
    install(&mut plane, &mut primary, &config, 1);
    switch(&mut plane, &mut primary, &config, None, 1);
    plane.settle(&mut primary);
    primary.take();
    primary.sequence = Some(77);
    let moved = Path {
        remote: "198.51.100.1:1024".parse().unwrap(),
        ..path(4500)
    };
    let command = SaCommand::Move {
        pair: pair(1),
        path: moved,
    };
    plane.apply(command, &config, &mut primary);
    assert_eq!(primary.take(), ["delete 2001", "add out2001"]);
    let again = primary.added.last().unwrap();
    assert_eq!((again.sa.udp, again.sequence), (Some((4500, 1024)), 77 + MARGIN));
    // The primary tells of the end of the first, which is not that of the other.
    let id = again.sa.id();
    assert!(!plane.lost(&id) && plane.owner(&id) == Some(pair(1)));
    assert!(plane.lost(&id) && plane.owner(&id).is_none());
    let (mut plane, mut primary) = (Plane::default(), Fake::default());
    install(&mut plane, &mut primary, &config, 1);
    switch(&mut plane, &mut primary, &config, None, 1);
    plane.settle(&mut primary);
    primary.take();
    // Elsewhere, the tunnel has to lead there.
    let elsewhere = Path {
        remote: "203.0.113.9:4500".parse().unwrap(),
        ..path(4500)
    };
    let command = SaCommand::Move {
        pair: pair(1),
        path: elsewhere,
    };
    plane.apply(command, &config, &mut primary);
    assert_eq!(primary.take(), ["ipsec0 to 203.0.113.9"]);
    assert!(
        plane.take_problems()[0]
            .sentence
            .contains("its SAs are made anew")
    );
}

#[test]
fn a_tunnel_leads_to_a_peer_that_may_be_anywhere() {
    let (mut plane, mut primary, config) = (Plane::default(), Fake::default(), config(""));
    install(&mut plane, &mut primary, &config, 1);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["ipsec0 to 198.51.100.1", "add in1001"]);
    install(&mut plane, &mut primary, &config, 2);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["add in1002"]);
    // Another peer takes it: what the first ones had is given up, once, and not rekeyed.
    let mut other = sa(3, true);
    other.path.remote = "203.0.113.9:4500".parse().unwrap();
    plane.apply(SaCommand::InstallInbound(other), &config, &mut primary);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), ["ipsec0 to 203.0.113.9", "add in1003"]);
    let mut displaced = plane.take_displaced();
    displaced.sort_unstable();
    assert_eq!(displaced, [1001, 1002]);
    assert_eq!(plane.take_problems().len(), 2);
    assert!(
        primary
            .added
            .iter()
            .all(|new| plane.owner(&new.sa.id()).is_none() == (new.sa.spi != 1003))
    );
    for number in [1, 2] {
        plane.apply(
            SaCommand::RemoveInbound(pair(number).inbound),
            &config,
            &mut primary,
        );
    }
    plane.settle(&mut primary);
    assert_eq!(primary.take(), [""; 0]);
}

#[test]
fn sas_that_a_daemon_has_left_go_on_and_those_that_were_deleted_are_not_made_again() {
    let config = config(FIXED);
    let (mut plane, mut primary) = (Plane::default(), Fake::default());
    for number in [1, 2] {
        install(&mut plane, &mut primary, &config, number);
        switch(&mut plane, &mut primary, &config, None, number);
    }
    plane.settle(&mut primary);
    // Of the first both are there, of the second nothing; a third was left by nobody who is known.
    let mut listed: Vec<ListedSa> = primary
        .added
        .iter()
        .filter(|new| [1001, 2001].contains(&new.sa.spi))
        .map(|new| ListedSa {
            sa: new.sa.clone(),
            state: control::message::SaState::Installed,
            added: std::time::Duration::ZERO,
            counts: shm::SaCounts::default(),
        })
        .collect();
    let mut stray = listed
        .iter()
        .find(|listed| listed.sa.spi == 2001)
        .unwrap()
        .clone();
    stray.sa.spi = 2003;
    listed.push(stray);
    let children = || {
        let of = |number| ike_engine::ChildSas {
            inbound: sa(number, true),
            outbound: sa(number, true),
            in_use: true,
            was_used: true,
        };
        vec![of(1), of(2)]
    };
    let (mut next, mut primary) = (Plane::default(), Fake::default());
    let adopted = next.adopt(&listed, children(), &Before::of(&children()), &config);
    assert_eq!(adopted.rekey, [1002]);
    assert!(adopted.installed.iter().all(|of| of.inbound && of.outbound));
    next.settle(&mut primary);
    assert_eq!(primary.take(), ["delete 2003"]);
    assert_eq!(next.owner(&listed[0].sa.id()), Some(pair(1)));
    // What was never there is for the engine to have installed.
    let adopted = Plane::default().adopt(&listed, children(), &Before::default(), &config);
    assert_eq!(adopted.rekey, [0; 0]);
    assert!(!adopted.installed[1].inbound && !adopted.installed[1].outbound);
}

#[test]
fn what_was_told_while_nobody_listened_is_seen_in_the_table() {
    let config = config(FIXED);
    let (mut plane, mut primary) = (Plane::default(), Fake::default());
    for number in 1..=3 {
        install(&mut plane, &mut primary, &config, number);
        switch(&mut plane, &mut primary, &config, None, number);
    }
    plane.settle(&mut primary);
    let state = |new: &NewSa| match new.sa.spi {
        1002 => control::message::SaState::Expiring,
        _ => control::message::SaState::Installed,
    };
    let listed: Vec<ListedSa> = primary
        .added
        .iter()
        .filter(|new| new.sa.spi != 2003)
        .map(|new| ListedSa {
            sa: new.sa.clone(),
            state: state(new),
            added: std::time::Duration::ZERO,
            counts: shm::SaCounts::default(),
        })
        .collect();
    let mut missed = plane.missed(&listed);
    missed.sort_unstable();
    assert_eq!(missed, [(1002, false), (1003, true)]);
    // What is gone is not deleted once more, and is not gone twice.
    assert_eq!(plane.missed(&listed), [(1002, false)]);
    primary.take();
    plane.apply(SaCommand::RemoveOutbound(pair(3)), &config, &mut primary);
    plane.settle(&mut primary);
    assert_eq!(primary.take(), [""; 0]);
}
