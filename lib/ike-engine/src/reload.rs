//! Other profiles in place of those that there are.

use std::sync::Arc;

use ikev2::crypto::Secret;

use crate::core::Core;
use crate::engine::{Engine, Restart};
use crate::{LocalAuth, Profile, RemoteAuth, StartAction, Time};

/// A profile that is no more, for what is left of its IKE SAs until their deletes are answered: nothing fits it, and nobody has its key.
fn tombstone(core: &mut Core, gone: &Profile) -> Profile {
    let key = Arc::new(Secret::from(core.random.bytes::<32>().to_vec()));
    Profile {
        local_auth: LocalAuth::Psk(key.clone()),
        remote_auth: RemoteAuth::Psk(key),
        name: format!("{} as it was", gone.name),
        // Nobody sends to this address.
        local_address: [0; 4].into(),
        remote_address: None,
        proposals: Vec::new(),
        start: StartAction::None,
        ..gone.clone()
    }
}

fn is_tombstone(profile: &Profile) -> bool {
    profile.local_address.is_unspecified()
}

impl Engine {
    /// Gives a profile the place of one of which nothing is left, or one behind all.
    fn take_place(&mut self, profile: Arc<Profile>) -> usize {
        let contacts = &self.core.contacts;
        let mut places = self.core.profiles.iter_mut().enumerate();
        let free = places.find(|(index, place)| is_tombstone(place) && contacts.of_profile(*index) == 0);
        if let Some((index, place)) = free {
            *place = profile;
            return index;
        }
        self.core.profiles.push(profile);
        self.core.profiles.len() - 1
    }

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
            if let Some(gone) = self.core.profile(index)
                && !is_tombstone(&gone)
            {
                let tombstone = Arc::new(tombstone(&mut self.core, &gone));
                if let Some(place) = self.core.profiles.get_mut(index) {
                    *place = tombstone;
                }
            }
        }
        for profile in profiles {
            if same.contains(&profile.name.as_str()) {
                continue;
            }
            let start = profile.start;
            let index = self.take_place(Arc::new(profile));
            if start == StartAction::Start {
                let at = Some(now);
                self.restarts.insert(index, Restart { at, attempts: 0 });
            }
        }
    }
}
