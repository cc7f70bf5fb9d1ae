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
