//! `ike`: IKE SAs of the IKEv2 daemon of an instance, its profiles, and what it is asked to do.

mod details;
mod profile;
mod show;

use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use control::ike::{IkeClient, IkeRekey, IkeReply, IkeRequest, IkeSa, IkeSummary};
use control::message::ErrorCode;
use nix::sys::prctl;
use serde_json::json;

use crate::failure::Failure;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl ike
  tollgate-ctl ike show --details
  tollgate-ctl ike show pr1 --details --secrets
  tollgate-ctl --json ike show --details
  tollgate-ctl ike profile
  tollgate-ctl ike initiate pr1
  tollgate-ctl ike rekey pr1 --children
  tollgate-ctl ike terminate pr1
  tollgate-ctl ike reload

These are answered by tollgate-ikev2d, which has to run for the instance. Below the IKE SAs stands what failed last, and what to do
about it. 'initiate' waits until the IKE SA and its child SAs are there, or says why not. A profile that was terminated is not
started again before it is initiated, or wanted by traffic where it has start = \"trap\". 'reload' has the daemon read its
configuration again, all of it or nothing: profiles that are as they were keep their IKE SAs. With --secrets, which is for root,
keys are shown as well; keep them from others. With --json what failed, and whether there is a primary, is said with --details
alone: without it there is a list of IKE SAs and nothing else.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show IKE SAs, what they protect, and what failed last
    Show(ShowArguments),
    /// Show profiles
    Profile(profile::Arguments),
    /// Make an IKE SA, and its child SAs, with the peer of a profile
    Initiate(InitiateArguments),
    /// Delete the IKE SAs of a profile
    Terminate(TerminateArguments),
    /// Give the SAs of a profile new keys
    Rekey(RekeyArguments),
    /// Have the daemon read its configuration again
    Reload,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Only those of this profile
    profile: Option<String>,
    /// All that is known of each, and statistics
    #[arg(long)]
    details: bool,
    /// With keys, for root
    #[arg(long, requires = "details")]
    secrets: bool,
}

#[derive(Debug, Args)]
struct InitiateArguments {
    /// Its name
    profile: String,
    /// Seconds to wait for it; 0: not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

#[derive(Debug, Args)]
struct TerminateArguments {
    /// Its name
    profile: String,
    /// Only what it protects: the IKE SAs stay
    #[arg(long)]
    children: bool,
}

#[derive(Debug, Args)]
struct RekeyArguments {
    /// Its name
    profile: String,
    /// Only the IKE SAs
    #[arg(long, conflicts_with = "children")]
    ike: bool,
    /// Only the child SAs
    #[arg(long)]
    children: bool,
}

/// What the daemon shows.
pub(super) struct Shown {
    pub(super) sas: Vec<IkeSa>,
    pub(super) summary: IkeSummary,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Show(shown)) => show::run(&shown, session),
        None => show::run(&arguments.show, session),
        Some(Verb::Profile(arguments)) => profile::run(&arguments, session),
        Some(Verb::Initiate(initiate)) => initiated(&initiate, session),
        Some(Verb::Terminate(TerminateArguments { profile, children })) => {
            let children_only = children;
            change(
                session,
                IkeRequest::Terminate {
                    profile,
                    children_only,
                },
            )
        }
        Some(Verb::Rekey(rekey)) => {
            let of = |what| IkeRequest::Rekey {
                profile: rekey.profile.clone(),
                what,
            };
            // Children first: the new ones go over to the new IKE SA.
            if !rekey.ike {
                change(session, of(IkeRekey::Children))?;
            }
            if !rekey.children {
                change(session, of(IkeRekey::Ike))?;
            }
            Ok(())
        }
        Some(Verb::Reload) => {
            session.refuse_watch()?;
            match &client(session)?.call(IkeRequest::Reload)?[..] {
                [IkeReply::Reloaded { sentence }] if session.options().json => {
                    println!("{}", json!({ "reloaded": sentence }));
                    Ok(())
                }
                [IkeReply::Reloaded { sentence }] => {
                    println!("{sentence}");
                    Ok(())
                }
                other => Err(unexpected(other)),
            }
        }
    }
}

fn client(session: &Session) -> Result<IkeClient, Failure> {
    Ok(IkeClient::connect(session.directory()?)?)
}

fn change(session: &Session, request: IkeRequest) -> Result<(), Failure> {
    session.refuse_watch()?;
    match &client(session)?.call(request)?[..] {
        [IkeReply::Done] => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(replies: &[IkeReply]) -> Failure {
    Failure::refused(
        ErrorCode::VersionMismatch,
        format!(
            "tollgate-ikev2d answered another question, with {} replies: use tools of its build",
            replies.len()
        ),
    )
}

/// The IKE SAs and failures, all or those of a profile.
pub(super) fn shown(client: &mut IkeClient, profile: Option<&str>, secrets: bool) -> Result<Shown, Failure> {
    if secrets {
        // Before keys come no core dump is made of this process any more, and others of its user cannot look into it.
        prctl::set_dumpable(false).map_err(|errno| {
            let sentence =
                format!("keys are not asked for, since this process cannot keep them to itself: {errno}");
            Failure::refused(ErrorCode::Failed, sentence)
        })?;
    }
    let mut replies = client.call(IkeRequest::Show {
        profile: profile.map(str::to_owned),
        secrets,
    })?;
    let Some(IkeReply::Summary(mut summary)) = replies.pop() else {
        return Err(unexpected(&replies));
    };
    let failures = &mut summary.failures;
    failures.retain(|failure| profile.is_none_or(|profile| failure.profile == profile));
    Ok(Shown {
        sas: IkeReply::sas(replies),
        summary: *summary,
    })
}

/// That there is no primary, if there is none.
pub(super) fn no_primary(summary: &IkeSummary) -> Option<String> {
    let why = || match &summary.why_not {
        Some(why) => format!("tollgate-ikev2d cannot attach to the primary, and tries it further: {why}"),
        None => "the primary is gone: tollgate-ikev2d attaches when there is one again".to_owned(),
    };
    (!summary.attached).then(why)
}

/// How often it is looked whether an IKE SA is there.
const LOOK: Duration = Duration::from_millis(20);

fn initiated(arguments: &InitiateArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let (name, timeout) = (&arguments.profile, Duration::from_secs(arguments.timeout));
    let mut client = client(session)?;
    let before = shown(&mut client, Some(name), false)?;
    let known: Vec<u64> = before.sas.iter().map(own_spi).collect();
    let profile = name.clone();
    client.call(IkeRequest::Initiate { profile })?;
    let began = Instant::now();
    while began.elapsed() < timeout {
        let now = shown(&mut client, Some(name), false)?;
        if let Some(sentence) = no_primary(&now.summary) {
            let sentence = format!("{name} waits, since {sentence}");
            return Err(Failure::refused(ErrorCode::InstanceDead, sentence));
        }
        let new = |sa: &&IkeSa| !known.contains(&own_spi(sa));
        let is_up = |sa: &IkeSa| sa.state == "established" && !sa.busy;
        let since = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failed = now
            .summary
            .failures
            .iter()
            .find(|failure| failure.profile == *name && failure.ago_ms <= since);
        let sa = now.sas.iter().find(new);
        if sa.is_some_and(|sa| is_up(sa) && !sa.children.is_empty()) {
            return Ok(());
        }
        if let Some(failed) = failed.filter(|_| sa.is_none_or(is_up)) {
            return Err(Failure::refused(
                ErrorCode::Failed,
                format!("{name}: {}", failed.sentence),
            ));
        }
        thread::sleep(LOOK);
    }
    if timeout.is_zero() {
        return Ok(());
    }
    Err(Failure::refused(
        ErrorCode::NoAnswer,
        format!(
            "{name} is not established after {} seconds, and is tried further: 'tollgate-ctl ike show' says how far it is",
            arguments.timeout
        ),
    ))
}

/// The SPI that this end has chosen.
fn own_spi(sa: &IkeSa) -> u64 {
    if sa.initiator {
        sa.initiator_spi
    } else {
        sa.responder_spi
    }
}

#[cfg(test)]
mod tests {
    use control::ike::{IkeFailure, IkeListener, IkeStatistics};
    use control::instance::RunDir;

    use super::*;

    fn summary(attached: bool, why_not: Option<&str>) -> IkeSummary {
        let failure = |profile: &str| IkeFailure {
            profile: profile.to_owned(),
            remote: None,
            sentence: "add modp2048".to_owned(),
            ago_ms: 2500,
            times: 1,
        };
        IkeSummary {
            attached,
            why_not: why_not.map(str::to_owned),
            statistics: IkeStatistics::default(),
            failures: ["pr1", "pr2", ""].map(failure).into(),
        }
    }

    #[test]
    fn of_a_profile_its_own_failures_are_shown_and_keys_are_not_asked_for_by_who_leaves_core_dumps() {
        let place = tempfile::tempdir().unwrap();
        let directory = RunDir::new(place.path()).instance(&"blue".parse().unwrap());
        std::fs::create_dir_all(directory.events()).unwrap();
        let listener = IkeListener::bind(&directory).unwrap();
        let serve = || {
            let mut connection = listener.accept().unwrap().unwrap();
            while let Some((id, _)) = connection.receive() {
                let reply = IkeReply::Summary(Box::new(summary(true, None)));
                assert!(connection.reply(id, vec![Ok(reply)]));
            }
        };
        thread::scope(|scope| {
            scope.spawn(serve);
            let mut client = IkeClient::connect(&directory).unwrap();
            let failed = |shown: Shown| {
                let failures = shown.summary.failures.into_iter();
                failures.map(|failure| failure.profile).collect::<Vec<_>>()
            };
            let all = shown(&mut client, None, false).unwrap();
            assert_eq!(failed(all), ["pr1", "pr2", ""]);
            let one = shown(&mut client, Some("pr2"), true).unwrap();
            assert_eq!(failed(one), ["pr2"]);
            assert!(!prctl::get_dumpable().unwrap());
            drop(client);
        });
    }

    #[test]
    fn a_daemon_without_a_primary_says_so_and_why() {
        assert_eq!(no_primary(&summary(true, None)), None);
        let gone = no_primary(&summary(false, None)).unwrap();
        assert!(gone.starts_with("the primary is gone"), "{gone}");
        let refused = no_primary(&summary(false, Some("another tool has class ike"))).unwrap();
        assert!(
            refused.ends_with("further: another tool has class ike"),
            "{refused}"
        );
    }
}
