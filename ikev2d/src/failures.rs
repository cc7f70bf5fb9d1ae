//! What failed last, for who asks afterwards.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;

use control::ike::IkeFailure;
use ike_engine::Time;

/// As many are kept.
const KEPT: usize = 32;
/// Of strangers, who have no profile yet, so many: a flood of them leaves what is said of profiles.
const KEPT_OF_STRANGERS: usize = 8;

/// Bytes of a sentence that are kept. Peers have a part in some, and all of them go into one frame.
const LONGEST: usize = 1024;

/// The last failures.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    at: Time,
    profile: String,
    remote: Option<IpAddr>,
    sentence: String,
    times: u32,
}

impl Failures {
    /// Keeps one; whether it is another than the last of its profile, so that it is worth saying.
    pub(crate) fn add(&mut self, at: Time, profile: &str, remote: Option<IpAddr>, sentence: &str) -> bool {
        let sentence = short(sentence);
        let sentence = sentence.as_ref();
        let is_same = |kept: &Kept| (kept.profile.as_str(), kept.remote) == (profile, remote);
        let place = self.kept.iter().position(is_same);
        if let Some(mut kept) = place.and_then(|place| self.kept.remove(place)) {
            if kept.sentence == sentence {
                kept.times = kept.times.saturating_add(1);
                kept.at = at;
                self.kept.push_front(kept);
                return false;
            }
            self.kept.insert(place.unwrap_or_default(), kept);
        }
        let of_strangers = self.kept.iter().filter(|kept| kept.profile.is_empty()).count();
        if profile.is_empty() && of_strangers >= KEPT_OF_STRANGERS {
            let oldest = self.kept.iter().rposition(|kept| kept.profile.is_empty());
            oldest.and_then(|oldest| self.kept.remove(oldest));
        }
        self.kept.truncate(KEPT - 1);
        self.kept.push_front(Kept {
            at,
            profile: profile.to_owned(),
            remote,
            sentence: sentence.to_owned(),
            times: 1,
        });
        true
    }

    /// All of them, the newest first.
    pub(crate) fn list(&self, now: Time) -> Vec<IkeFailure> {
        let shown = self.kept.iter().map(|kept| IkeFailure {
            profile: kept.profile.clone(),
            remote: kept.remote,
            sentence: kept.sentence.clone(),
            ago_ms: u64::try_from(now.since(kept.at).as_millis()).unwrap_or(u64::MAX),
            times: kept.times,
        });
        shown.collect()
    }
}

/// As much of it as is kept.
pub(crate) fn short(sentence: &str) -> Cow<'_, str> {
    match sentence.get(..sentence.floor_char_boundary(LONGEST)) {
        Some(kept) if kept.len() < sentence.len() => Cow::Owned(format!("{kept}...")),
        _ => Cow::Borrowed(sentence),
    }
}

#[cfg(test)]
mod tests {
    use control::client::MAX_FRAME;

    use super::*;

    #[test]
    fn the_longest_sentences_leave_room_in_a_frame_and_are_known_again() {
        let mut failures = Failures::default();
        let longest = "\u{20ac}".repeat(65_535);
        for number in 0..100 {
            assert!(failures.add(Time::from_millis(1), &format!("pr{number}"), None, &longest));
        }
        assert!(!failures.add(Time::from_millis(2), "pr99", None, &longest));
        let list = failures.list(Time::from_millis(2));
        let bytes: usize = list.iter().map(|failure| failure.sentence.len()).sum();
        assert!(list.len() == KEPT && bytes < MAX_FRAME / 2, "{bytes}");
        assert!(list[0].sentence.ends_with("\u{20ac}..."), "{}", list[0].sentence);
    }

    #[test]
    fn one_that_comes_again_is_counted_and_the_oldest_go() {
        let mut failures = Failures::default();
        let at = Time::from_millis;
        assert!(failures.add(at(1), "pr1", None, "no answer"));
        assert!(failures.add(at(2), "pr2", None, "no answer"));
        assert!(!failures.add(at(3), "pr1", None, "no answer"));
        assert!(failures.add(at(4), "pr1", None, "wrong key"));
        let list = failures.list(at(10));
        let shown: Vec<_> = list
            .iter()
            .map(|failure| {
                (
                    failure.profile.as_str(),
                    failure.sentence.as_str(),
                    failure.times,
                    failure.ago_ms,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("pr1", "wrong key", 1, 6),
                ("pr1", "no answer", 2, 7),
                ("pr2", "no answer", 1, 8)
            ]
        );
        for number in 0..100 {
            failures.add(at(20), &format!("pr{number}"), None, "else");
        }
        assert_eq!(failures.list(at(20)).len(), KEPT);
        assert_eq!(failures.list(at(20))[0].profile, "pr99");
    }

    #[test]
    fn strangers_drive_out_each_other_alone() {
        let mut failures = Failures::default();
        let at = Time::from_millis(1);
        failures.add(at, "pr1", None, "wrong key");
        for number in 0..100_u8 {
            failures.add(at, "", Some([10, 0, 0, number].into()), "half-open");
        }
        let list = failures.list(at);
        assert_eq!(list.len(), 1 + KEPT_OF_STRANGERS);
        assert_eq!(list[0].remote, Some([10, 0, 0, 99].into()));
        assert_eq!(list[KEPT_OF_STRANGERS].profile, "pr1");
    }
}
