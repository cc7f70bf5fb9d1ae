//! Other profiles in place of those that there are.

use std::sync::Arc;

use crate::engine::Engine;
use crate::{Profile, StartAction, Time};

/// A profile that is no more, for what is left of its IKE SAs until their deletes are answered: nothing fits it.
fn tombstone(gone: &Profile) -> Profile {
    Profile {
        name: format!("{} as it was", gone.name),
        // Nobody sends to this address.
        local_address: [0; 4].into(),
        remote_address: None,
        proposals: Vec::new(),
        start: StartAction::None,
        dead_peer: None,
        ..gone.clone()
    }
}

impl Engine {
    /// Takes these profiles in place of those that there are. Those named in `same` are as they were, and stay with their IKE SAs; the
    /// IKE SAs of others that were there are deleted. New ones that are to be up are started with the next [`Engine::timeout`].
    pub fn set_profiles(&mut self, now: Time, profiles: Vec<Profile>, same: &[&str]) {
        let names: Vec<String> = self
            .core
            .profiles
            .iter()
            .map(|profile| profile.name.clone())
            .collect();
        for (index, name) in names.iter().enumerate() {
            if same.contains(&name.as_str()) {
                continue;
            }
            // It is there: it was just found. What went before has gone already.
            drop(self.terminate(now, name));
            self.traps.remove(index);
            if let Some(place) = self.core.profiles.get_mut(index)
                && !place.local_address.is_unspecified()
            {
                *place = Arc::new(tombstone(place));
            }
        }
        for profile in profiles {
            if same.contains(&profile.name.as_str()) {
                continue;
            }
            let index = self.core.profiles.len();
            self.core.profiles.push(Arc::new(profile));
            self.arm(index, Some(now));
        }
    }
}
