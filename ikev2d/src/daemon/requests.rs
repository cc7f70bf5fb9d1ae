//! What tools ask for.

use control::ike::{IkeAnswer, IkePeer, IkeRekey, IkeReply, IkeRequest, IkeSummary};
use control::message::{ControlError, ErrorCode};
use ike_engine::UnknownProfile;

use super::Daemon;
use super::clock::now;
use crate::show;

/// Root's user id.
const ROOT: u32 = 0;

fn unknown(error: UnknownProfile) -> ControlError {
    let sentence = format!("{error}: 'tollgate-ctl ike profile' lists them");
    ControlError::new(ErrorCode::NotFound, sentence)
}

impl Daemon {
    /// The replies to a request.
    pub(super) fn answer(&mut self, request: IkeRequest, peer: IkePeer) -> Vec<IkeAnswer> {
        match self.try_answer(request, peer) {
            Ok(replies) => replies.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    fn try_answer(&mut self, request: IkeRequest, peer: IkePeer) -> Result<Vec<IkeReply>, ControlError> {
        let now = now();
        let engine = &mut self.engine;
        match request {
            IkeRequest::Show { profile, secrets } => {
                if secrets && peer.uid != ROOT {
                    let sentence = "keys are shown to root alone: leave --secrets out, or use sudo";
                    return Err(ControlError::new(ErrorCode::PermissionDenied, sentence));
                }
                if let Some(name) = &profile
                    && self.config.profile(name).is_none()
                {
                    return Err(unknown(UnknownProfile(name.clone())));
                }
                let mut replies = show::sas(
                    &self.engine,
                    &self.plane,
                    &self.config,
                    profile.as_deref(),
                    secrets,
                );
                replies.push(IkeReply::Summary(Box::new(IkeSummary {
                    attached: self.attachment.is_there(),
                    why_not: self.refusal.why().map(str::to_owned),
                    statistics: show::statistics(self.engine.counters(), self.unsent),
                    failures: self.failures.list(now),
                })));
                return Ok(replies);
            }
            IkeRequest::Profiles => return Ok(show::profiles(&self.config)),
            IkeRequest::Initiate { profile } => engine.initiate(now, &profile).map_err(unknown)?,
            IkeRequest::Terminate {
                profile,
                children_only: true,
            } => engine.delete_children(now, &profile).map_err(unknown)?,
            IkeRequest::Terminate { profile, .. } => engine.terminate(now, &profile).map_err(unknown)?,
            IkeRequest::Rekey {
                profile,
                what: IkeRekey::Ike,
            } => engine.rekey_ike(now, &profile).map_err(unknown)?,
            IkeRequest::Rekey { profile, .. } => engine.rekey_children(now, &profile).map_err(unknown)?,
            IkeRequest::Reload => {
                let sentence = self.read_again()?;
                return Ok(vec![IkeReply::Reloaded { sentence }]);
            }
        }
        Ok(vec![IkeReply::Done])
    }
}
