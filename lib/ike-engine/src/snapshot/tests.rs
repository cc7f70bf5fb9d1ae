//! What is written down, seen from inside: which IKE SAs a call is about, and records that are damaged in batches that are whole.

use std::time::Duration;

use super::*;
use crate::Profile;
use crate::tests::{NOW, contact, engine, profile};

#[test]
fn a_call_is_about_the_ike_sas_that_it_does_something_with() {
    let other = Profile {
        name: "pr2".to_owned(),
        ..profile(0)
    };
    let mut gateway = engine(vec![profile(0), other], 1);
    gateway.changes();
    (1..=5).for_each(|end| contact(NOW, &mut gateway, end, end.into()));
    assert_eq!(gateway.sas.len(), 5);
    gateway.changes();
    // One of them has forgotten everything, and says so: it is about the new IKE SA, and about the old one.
    contact(NOW + Duration::from_secs(1), &mut gateway, 3, 99);
    assert_eq!(gateway.sas.len(), 5);
    assert_eq!(gateway.kept.marked.len(), 2);
    gateway.changes();
    // A profile without any.
    gateway.delete_children(NOW, "pr2").unwrap();
    gateway.rekey_ike(NOW, "pr2").unwrap();
    gateway.rekey_children(NOW, "pr2").unwrap();
    gateway.set_profiles(NOW, Vec::new(), &["pr1"]);
    assert_eq!(gateway.kept.marked, BTreeSet::new());
    assert_eq!(gateway.sas.len(), 5);
}

/// The records of an end with two IKE SAs, and the children of both.
fn records() -> Vec<(IkeSpi, Vec<u8>)> {
    let mut gateway = engine(vec![profile(0)], 1);
    (1..=2).for_each(|end| contact(NOW, &mut gateway, end, end.into()));
    gateway.rekey_children(NOW, "pr1").unwrap();
    gateway.rekey_ike(NOW, "pr1").unwrap();
    let snapshot = gateway.snapshot();
    let found = journal::replay(snapshot.expose()).records;
    found
        .into_iter()
        .map(|(ike, record)| (ike, record.to_vec()))
        .collect()
}

fn restored(records: &[(IkeSpi, Vec<u8>)]) -> (Engine, Restored) {
    let secret = |(ike, record): &(IkeSpi, Vec<u8>)| (*ike, Some(Secret::from(record.clone())));
    let batch = journal::batch(true, &records.iter().map(secret).collect::<Vec<_>>());
    let mut engine = engine(vec![profile(0)], 7);
    let restored = engine.restore(NOW, batch.expose());
    assert_eq!(restored.ignored, 0);
    (engine, restored)
}

#[test]
fn a_damaged_record_in_a_whole_batch_is_left_out_or_read_and_breaks_nothing() {
    let whole = records();
    assert_eq!(restored(&whole).1.ikes, 2);
    let (mut left_out, mut read) = (0, 0);
    for at in 0..whole.len() {
        for byte in 0..whole[at].1.len() {
            for bit in [1, 0x80] {
                let mut damaged = whole.clone();
                damaged[at].1[byte] ^= bit;
                let (mut engine, result) = restored(&damaged);
                // The other one is there in any case, and each under its own name.
                assert!(result.ikes >= 1 && result.ikes + result.left_out.len() == 2);
                assert!(
                    engine
                        .sas
                        .iter()
                        .all(|(ike, state)| state.channel().unwrap().id() == *ike)
                );
                left_out += result.left_out.len();
                read += result.ikes - 1;
                engine.reconcile(NOW, &[]);
                engine.timeout(NOW + Duration::from_secs(30));
                engine.terminate(NOW + Duration::from_secs(30), "pr1").unwrap();
                // What is written down of it is read again.
                let again = engine.snapshot();
                let mut next = super::tests::engine(vec![profile(0)], 8);
                let later = NOW + Duration::from_secs(30);
                assert_eq!(next.restore(later, again.expose()).left_out, []);
            }
        }
        let cut = |len: usize| {
            let mut damaged = whole.clone();
            damaged[at].1.truncate(len);
            restored(&damaged).1
        };
        // None of no length is gone, and so is not left out.
        for len in 1..whole[at].1.len() {
            assert_eq!((cut(len).ikes, cut(len).left_out.len()), (1, 1), "{len}");
        }
    }
    // Keys and nonces may be any bytes; lengths, types and names may not.
    assert!(left_out > 500 && read > 500, "{left_out} left out, {read} read");
}

#[test]
fn a_record_under_the_name_of_another_ike_sa_is_left_out() {
    let mut swapped = records();
    let names = [swapped[0].0, swapped[1].0];
    (swapped[0].0, swapped[1].0) = (names[1], names[0]);
    let (engine, result) = restored(&swapped);
    assert_eq!(engine.sas.len(), 0);
    let left_out = [names[1], names[0]].map(|name| (name, RestoreError::Malformed));
    assert_eq!(result.left_out.len(), 2);
    assert!(left_out.iter().all(|one| result.left_out.contains(one)));
}
