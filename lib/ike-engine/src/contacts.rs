//! Which IKE SAs there are with whom.

use std::collections::BTreeMap;

use ikev2::wire::IkeSpi;

use crate::{Identity, Time};

/// Established IKE SAs, by profile and by who the peer is.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    of_profile: BTreeMap<usize, usize>,
    /// With since when each is there.
    of_peer: BTreeMap<(usize, Identity), BTreeMap<IkeSpi, Time>>,
}

impl Contacts {
    pub(crate) fn add(&mut self, profile: usize, peer: &Identity, ike: IkeSpi, since: Time) {
        let of_peer = self.of_peer.entry((profile, peer.clone())).or_default();
        if of_peer.insert(ike, since).is_none() {
            *self.of_profile.entry(profile).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, profile: usize, peer: &Identity, ike: IkeSpi) {
        let key = (profile, peer.clone());
        let Some(of_peer) = self.of_peer.get_mut(&key) else {
            return;
        };
        if of_peer.remove(&ike).is_none() {
            return;
        }
        if of_peer.is_empty() {
            self.of_peer.remove(&key);
        }
        if let Some(count) = self.of_profile.get_mut(&profile) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_profile.remove(&profile);
            }
        }
    }

    /// How many a profile has.
    pub(crate) fn of_profile(&self, profile: usize) -> usize {
        self.of_profile.get(&profile).copied().unwrap_or_default()
    }

    /// Those with a peer, and since when each is there.
    pub(crate) fn of_peer(&self, profile: usize, peer: &Identity) -> impl Iterator<Item = (IkeSpi, Time)> {
        let found = self.of_peer.get(&(profile, peer.clone()));
        found.into_iter().flatten().map(|(ike, since)| (*ike, *since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_is_gone() {
        let (one, other) = (Identity::fqdn("one"), Identity::fqdn("other"));
        let mut contacts = Contacts::default();
        let since = Time::from_millis(7);
        contacts.add(0, &one, IkeSpi([1; 8]), since);
        contacts.add(0, &one, IkeSpi([2; 8]), since);
        contacts.add(0, &other, IkeSpi([3; 8]), since);
        contacts.add(1, &one, IkeSpi([4; 8]), since);
        assert_eq!((contacts.of_profile(0), contacts.of_profile(1)), (3, 1));
        assert_eq!(contacts.of_peer(0, &one).count(), 2);
        for ike in 1..=4 {
            contacts.remove(0, &one, IkeSpi([ike; 8]));
        }
        assert_eq!((contacts.of_profile(0), contacts.of_profile(1)), (1, 1));
        assert_eq!(contacts.of_peer(0, &one).count(), 0);
        contacts.remove(0, &other, IkeSpi([3; 8]));
        contacts.remove(1, &one, IkeSpi([4; 8]));
        assert!(contacts.of_profile.is_empty() && contacts.of_peer.is_empty());
    }
}
