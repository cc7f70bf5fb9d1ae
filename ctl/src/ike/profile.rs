//! `ike profile`: with whom the daemon negotiates, and for what.

use clap::Args;
use control::ike::{IkeProfile, IkeProfileChild, IkeReply, IkeRequest};
use serde::Serialize;

use super::{client, unexpected};
use crate::arguments::ShowOnly;
use crate::failure::Failure;
use crate::present::{Reading, Show};
use crate::rates::Rates;
use crate::session::Session;
use crate::table::{Column, Table, left, right};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<ShowOnly>,
}

/// A profile.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Profile(IkeProfile);

pub(super) fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (Some(ShowOnly::Show) | None) = arguments.verb;
    let mut client = client(session)?;
    session.show(|| {
        let mut replies = client.call(IkeRequest::Profiles)?;
        let Some(IkeReply::Done) = replies.pop() else {
            return Err(unexpected(&replies));
        };
        let profiles: Vec<Profile> = IkeReply::profiles(replies).into_iter().map(Profile).collect();
        Ok(Reading::from(profiles))
    })
}

/// How both ends show who they are: once, where both do alike.
fn auth(profile: &IkeProfile) -> String {
    let (local, remote) = (&profile.local_auth, &profile.remote_auth);
    if local == remote {
        local.clone()
    } else {
        format!("{local} with {remote}")
    }
}

impl Show for Profile {
    const COLUMNS: &'static [Column] = &[
        left("PROFILE"),
        left("LOCAL"),
        left("REMOTE"),
        left("LOCAL ID"),
        left("REMOTE ID"),
        left("AUTH"),
        left("START"),
        left("PROPOSALS"),
        left("TUNNEL"),
        left("TRAFFIC"),
        right("REKEY"),
        right("LIFE"),
        right("DPD"),
        left("DEAD PEER"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        let profile = &self.0;
        table
            .cell(&profile.name)
            .cell(profile.local_address)
            .cell(
                profile
                    .remote_address
                    .map_or_else(|| "any".to_owned(), |address| address.to_string()),
            )
            .cell(&profile.local_id)
            .cell(profile.remote_id.as_deref().unwrap_or("any"))
            .cell(auth(profile))
            .cell(&profile.start)
            .cell(profile.ike_proposals.join(" "))
            .cell("")
            .cell("")
            .cell(format_args!("{} s", profile.rekey_seconds))
            .cell(format_args!("{} s", profile.life_seconds))
            .cell(format_args!("{} s", profile.dpd_seconds))
            .cell(&profile.dpd_action);
        for child in &profile.children {
            let IkeProfileChild {
                name,
                tunnel,
                esp_proposals,
                local_ts,
                remote_ts,
                rekey_seconds,
                life_seconds,
            } = child;
            table.cell(format_args!("  {name}"));
            for _ in 0..6 {
                table.cell("");
            }
            table
                .cell(esp_proposals.join(" "))
                .cell(tunnel)
                .cell(format_args!(
                    "{} with {}",
                    local_ts.join(" "),
                    remote_ts.join(" ")
                ))
                .cell(format_args!("{rekey_seconds} s"))
                .cell(format_args!("{life_seconds} s"))
                .cell("")
                .cell("");
        }
    }
}
