//! What the primary may have told of SAs while nobody listened: its table says the same.

use std::collections::HashMap;

use control::message::{SaId, SaState};
use control::sas::ListedSa;

use super::Plane;

impl Plane {
    /// Inbound SPIs of the pairs with an SA that nears its end, or that is gone, and which of both.
    pub(crate) fn missed(&mut self, listed: &[ListedSa]) -> Vec<(u32, bool)> {
        let there: HashMap<SaId, SaState> = listed
            .iter()
            .map(|listed| (listed.sa.id(), listed.state))
            .collect();
        let mut missed = Vec::new();
        let mut gone = Vec::new();
        for (id, (_, pair)) in &self.known {
            match there.get(id) {
                Some(SaState::Installed) => {}
                Some(SaState::Expiring) => missed.push((pair.inbound, false)),
                None => {
                    missed.push((pair.inbound, true));
                    gone.push(*id);
                }
            }
        }
        for id in gone {
            // Whatever was to be told of one before it: it is not there.
            self.made_again.remove(&id);
            self.is_gone(&id);
        }
        missed
    }
}
