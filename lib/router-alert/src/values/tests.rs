use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn set(text: &str) -> ValueSet {
    text.parse().unwrap()
}

#[test]
fn req_ra_14_known_values_have_names_and_others_none() {
    for (family, value, expected) in [
        (Family::Four, 0, Some("router shall examine packet")),
        (Family::Four, 32, Some("aggregated reservation nesting level")),
        (Family::Four, 33, Some("QoS NSLP aggregation level")),
        (Family::Four, 65, Some("NSIS NATFW NSLP")),
        (Family::Four, 66, None),
        (Family::Six, 0, Some("Multicast Listener Discovery")),
        (Family::Six, 1, Some("RSVP")),
        (Family::Six, 3, Some("reserved")),
        (Family::Six, 35, Some("aggregated reservation nesting level")),
        (Family::Six, 36, Some("QoS NSLP aggregation level")),
        (Family::Six, 68, Some("NSIS NATFW NSLP")),
        (Family::Six, 69, Some("MPLS OAM")),
        (Family::Six, 70, None),
        (Family::Six, 65502, None),
        (Family::Six, 65503, Some("experimental")),
        (Family::Six, 65534, Some("experimental")),
        (Family::Four, 65535, Some("reserved")),
    ] {
        assert_eq!(name(family, value), expected, "{family} {value}");
    }
}

#[test]
fn req_ra_14_the_registries_are_in_order_and_do_not_overlap() {
    for family in [Family::Four, Family::Six] {
        let entries = registry(family);
        assert!(entries.iter().all(|entry| entry.first <= entry.last));
        assert!(entries.windows(2).all(|pair| pair[0].last < pair[1].first));
    }
}

#[test]
fn req_ra_15_sets_are_read_and_written_as_text() {
    for (text, written) in [
        ("0,4-35,65503-65534", "0,4-35,65503-65534"),
        ("any", "any"),
        (" any ", "any"),
        ("none", "none"),
        ("0-65535", "any"),
        ("7", "7"),
        ("007", "7"),
        ("5-5", "5"),
        (" 9 , 1 - 3 ,2-4", "1-4,9"),
        ("65535,65534", "65534-65535"),
        ("3,1,2,0", "0-3"),
    ] {
        assert_eq!(set(text).to_string(), written, "{text:?}");
    }
}

#[test]
fn req_ra_15_what_is_no_set_is_refused_with_what_is_wrong() {
    for text in [
        "", "1,", ",1", "65536", "-1", "+1", "0x5", "1-", "-", "1-2-3", "all", "any,1", "1;2", "1 2",
    ] {
        assert!(
            matches!(text.parse::<ValueSet>(), Err(ValueSetError::Value(_))),
            "{text:?}"
        );
    }
    assert_eq!(
        "1,9-4".parse::<ValueSet>().unwrap_err().to_string(),
        "the range 9-4 is empty: write 4-9"
    );
    assert_eq!(
        "1,70000".parse::<ValueSet>().unwrap_err().to_string(),
        "'70000' is no value: write numbers from 0 to 65535 and ranges of them, as in 0,4-35, or any"
    );
}

#[test]
fn req_ra_17_values_are_put_in_and_taken_out() {
    let mut values = set("1-3,7");
    values.insert(4..=6);
    assert_eq!(values, set("1-7"));
    values.remove(3..=4);
    assert_eq!(values, set("1-2,5-7"));
    values.remove(0..=u16::MAX);
    assert!(values.is_empty());
    values.insert(u16::MAX..=u16::MAX);
    values.insert(0..=0);
    assert_eq!(values, set("0,65535"));
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    {
        values.insert(9..=3);
        values.remove(9..=0);
    }
    assert_eq!(values, set("0,65535"));
    assert_eq!(values.union(&set("1-65534")), ValueSet::any());
    assert_eq!(ValueSet::any().ranges().collect::<Vec<_>>(), [0..=u16::MAX]);
}

#[test]
fn sets_are_texts_in_json() {
    let values = set("0,4-35");
    assert_eq!(serde_json::to_string(&values).unwrap(), "\"0,4-35\"");
    assert_eq!(serde_json::from_str::<ValueSet>("\"0,4-35\"").unwrap(), values);
    let refused = serde_json::from_str::<ValueSet>("\"9-4\"").unwrap_err();
    assert!(refused.to_string().contains("write 4-9"), "{refused}");
}

/// Values near both ends, where there is least room.
fn value() -> impl Strategy<Value = u16> {
    prop_oneof![0..24u16, 65_512..=u16::MAX]
}

fn values(set: &ValueSet) -> BTreeSet<u16> {
    (0..=u16::MAX).filter(|value| set.contains(*value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn req_ra_15_a_set_is_what_was_put_in_and_not_taken_out(
        changes in prop::collection::vec((any::<bool>(), value(), value()), 0..12),
    ) {
        let (mut set, mut expected) = (ValueSet::default(), BTreeSet::new());
        for (put_in, one, other) in changes {
            let range = one.min(other)..=one.max(other);
            if put_in {
                set.insert(range.clone());
                expected.extend(range);
            } else {
                set.remove(range.clone());
                expected.retain(|value| !range.contains(value));
            }
        }
        prop_assert_eq!(values(&set), expected);
        let ranges: Vec<_> = set.ranges().collect();
        for pair in ranges.windows(2) {
            prop_assert!(u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()), "{}", set);
        }
        prop_assert_eq!(set.to_string().parse::<ValueSet>(), Ok(set));
    }

    #[test]
    fn req_ra_15_no_text_upsets_the_parser(text in "[0-9,\\- any+]{0,24}") {
        if let Ok(set) = text.parse::<ValueSet>() {
            prop_assert_eq!(set.to_string().parse::<ValueSet>(), Ok(set));
        }
    }
}
