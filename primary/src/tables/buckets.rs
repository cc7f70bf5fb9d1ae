//! Which next hop of a group each bucket leads to.
//!
//! Every bucket has a home: as many of them are a next hop's as its weight says. While a home does not answer, the bucket
//! leads to the home of another one, the first that answers in an order that is the bucket's own. So when a next hop goes,
//! its buckets alone move, to all others by their weights; and when it comes back, those come back and no others move.

use crate::adjacency::BUCKETS;

/// Between the numbers of the buckets that a bucket asks one after the other: odd, so that it asks all.
const STEP: usize = 0x9d;

/// The home of each bucket: the place of a next hop, each of which is told by a number of its own and has a weight, and
/// gets one bucket at least. A next hop alone has one bucket.
///
/// Which buckets are its own follows from the number: in a group that has one next hop more or less, most have the same
/// home.
pub(super) fn homes(next_hops: &[(u64, u16)]) -> Vec<u8> {
    if next_hops.len() < 2 {
        return vec![0];
    }
    let mut room = shares(next_hops);
    (0..BUCKETS)
        .map(|bucket| {
            let chosen = (0..next_hops.len())
                .filter(|place| room[*place] > 0)
                .max_by_key(|place| mixed(next_hops[*place].0, bucket));
            let chosen = chosen.unwrap_or(0);
            room[chosen] = room[chosen].saturating_sub(1);
            // There are fewer next hops than buckets.
            chosen as u8
        })
        .collect()
}

/// How many buckets each next hop has: all together, and none of them none.
fn shares(next_hops: &[(u64, u16)]) -> Vec<usize> {
    let total: usize = next_hops.iter().map(|(_, weight)| usize::from(*weight)).sum();
    let total = total.max(1);
    // One each, and what is left by weight.
    let left = BUCKETS - next_hops.len();
    let ideal = |weight: u16| usize::from(weight) * BUCKETS;
    let mut shares: Vec<usize> = next_hops
        .iter()
        .map(|(_, weight)| 1 + (ideal(*weight) / total).saturating_sub(1))
        .collect();
    // What rounding has left, or taken too much, goes to or comes from whoever is furthest from its due.
    while shares.iter().sum::<usize>() != left + next_hops.len() {
        let is_short = shares.iter().sum::<usize>() < BUCKETS;
        let debt = |place: usize| ideal(next_hops[place].1) as i64 - (shares[place] * total) as i64;
        let places = 0..shares.len();
        let chosen = if is_short {
            places.max_by_key(|place| debt(*place))
        } else {
            places
                .filter(|place| shares[*place] > 1)
                .min_by_key(|place| debt(*place))
        };
        let Some(chosen) = chosen else { break };
        shares[chosen] = if is_short {
            shares[chosen] + 1
        } else {
            shares[chosen] - 1
        };
    }
    shares
}

/// Where each bucket leads while only some next hops are in service; home where none is.
pub(super) fn live(homes: &[u8], in_service: impl Fn(u8) -> bool) -> Vec<u8> {
    let count = homes.len();
    (0..count)
        .map(|bucket| {
            let asked = (0..count).map(|turn| (bucket + turn * STEP * (2 * bucket + 1)) % count);
            let found = asked
                .filter_map(|other| homes.get(other).copied())
                .find(|home| in_service(*home));
            found.unwrap_or(homes[bucket])
        })
        .collect()
}

/// A number without pattern for each of both.
fn mixed(number: u64, bucket: usize) -> u64 {
    let product = u128::from(number ^ 0x9e37_79b9_7f4a_7c15)
        * u128::from((bucket as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
    ((product >> 64) as u64 ^ product as u64).wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_hops() -> impl Strategy<Value = Vec<(u64, u16)>> {
        prop::collection::vec((any::<u64>(), 1..=256u16), 2..=32)
    }

    fn counts(homes: &[u8], next_hops: usize) -> Vec<usize> {
        (0..next_hops)
            .map(|place| homes.iter().filter(|home| usize::from(**home) == place).count())
            .collect()
    }

    proptest! {
        #[test]
        fn weights_are_kept_to_a_bucket_unless_one_must_have_its_first(next_hops in next_hops()) {
            let counts = counts(&homes(&next_hops), next_hops.len());
            prop_assert_eq!(counts.iter().sum::<usize>(), BUCKETS);
            let total: usize = next_hops.iter().map(|(_, weight)| usize::from(*weight)).sum();
            let lifted = next_hops.iter().filter(|(_, weight)| usize::from(*weight) * BUCKETS < total).count();
            for (count, (_, weight)) in counts.iter().zip(&next_hops) {
                let due = (usize::from(*weight) * BUCKETS) as f64 / total as f64;
                prop_assert!(*count >= 1);
                prop_assert!((*count as f64 - due).abs() <= 1.0 + lifted as f64, "{} for {}", count, due);
            }
        }

        #[test]
        fn only_the_buckets_of_a_next_hop_that_goes_move_and_they_come_back(
            next_hops in next_hops(), gone: u32, last: prop::sample::Index,
        ) {
            let homes = homes(&next_hops);
            let last = last.index(next_hops.len()) as u8;
            let some = |place: u8| gone & 1 << place == 0;
            let fewer = |place: u8| some(place) && place != last;
            prop_assume!((0..next_hops.len() as u8).any(fewer));
            let (before, after) = (live(&homes, some), live(&homes, fewer));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(fewer(*after));
                prop_assert!(before == after || *before == last);
            }
            prop_assert_eq!(live(&homes, |_| true), homes.clone());
            prop_assert_eq!(live(&homes, |_| false), homes);
        }
    }

    #[test]
    fn the_buckets_of_a_lost_next_hop_go_to_all_others() {
        let next_hops: Vec<_> = (1..=8).map(|number| (number, 1)).collect();
        let homes = homes(&next_hops);
        let after = live(&homes, |place| place != 3);
        for count in counts(&after, 8)
            .into_iter()
            .enumerate()
            .filter(|(place, _)| *place != 3)
        {
            assert!((33..=45).contains(&count.1), "{count:?}");
        }
    }

    #[test]
    fn most_buckets_stay_when_a_group_has_one_next_hop_less() {
        let next_hops: Vec<_> = (1..=4)
            .map(|number: u64| (number.wrapping_mul(0x1234_5678_9abc_def1), 1))
            .collect();
        let (all, fewer) = (homes(&next_hops), homes(&next_hops[..3]));
        let moved = all
            .iter()
            .zip(&fewer)
            .filter(|(before, after)| **before != 3 && before != after)
            .count();
        assert!(moved < 64, "{moved} of 192 moved");
    }

    #[test]
    fn a_next_hop_alone_has_one_bucket() {
        assert_eq!(homes(&[(7, 200)]), [0]);
        assert_eq!(live(&[0], |_| false), [0]);
    }
}
