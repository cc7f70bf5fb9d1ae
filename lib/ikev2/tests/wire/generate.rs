//! Messages with payloads of all kinds, odd ones too, byte by byte: nothing of the writer that is tested.

use proptest::collection::vec;
use proptest::prelude::*;

/// A payload's type and body.
type Body = (u8, Vec<u8>);

fn length(bytes: &[u8], more: usize) -> [u8; 2] {
    u16::try_from(bytes.len() + more).unwrap().to_be_bytes()
}

fn attribute() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![0x80, 14, 1, 0]),
        (0x8000u16.., any::<u16>())
            .prop_map(|(kind, value)| [kind.to_be_bytes(), value.to_be_bytes()].concat()),
        (0..0x8000u16, vec(any::<u8>(), 0..9)).prop_map(|(kind, value)| [
            &kind.to_be_bytes()[..],
            &length(&value, 0),
            &value
        ]
        .concat()),
    ]
}

fn transform() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        [1, 12],
        [1, 20],
        [1, 28],
        [2, 5],
        [3, 12],
        [4, 14],
        [4, 31],
        [5, 0],
        [6, 36],
    ]);
    let number = prop_oneof![known.prop_map(|[kind, id]| (kind, id.into())), any::<(u8, u16)>()];
    (number, any::<u8>(), any::<u8>(), vec(attribute(), 0..4)).prop_map(
        |((kind, id), one, two, attributes)| {
            let inside = [&[kind, two][..], &u16::to_be_bytes(id), &attributes.concat()].concat();
            [&[one][..], &length(&inside, 4), &inside].concat()
        },
    )
}

/// Puts marks in front that say whether more follow.
fn chain(items: &[Vec<u8>], more: u8) -> Vec<u8> {
    let last = items.len().saturating_sub(1);
    let marked = items.iter().enumerate().map(|(at, item)| {
        let mark = if at < last { more } else { 0 };
        [&[mark][..], item].concat()
    });
    marked.collect::<Vec<_>>().concat()
}

fn proposal() -> impl Strategy<Value = Vec<u8>> {
    let spi = prop_oneof![
        (Just(1), prop_oneof![Just(vec![]), vec(any::<u8>(), 8)]),
        (2..=3u8, vec(any::<u8>(), 4)),
        (4u8.., vec(any::<u8>(), 0..12)),
    ];
    (any::<u8>(), any::<u8>(), spi, vec(transform(), 0..6)).prop_map(
        |(number, reserved, (protocol, spi), transforms)| {
            let head = [number, protocol, spi.len() as u8, transforms.len() as u8];
            let inside = [&head[..], &spi, &chain(&transforms, 3)].concat();
            [&[reserved][..], &length(&inside, 4), &inside].concat()
        },
    )
}

fn selector() -> impl Strategy<Value = Vec<u8>> {
    let ports = prop_oneof![
        Just((0u16, 0xffffu16)),
        Just((0xffff, 0)),
        any::<(u16, u16)>().prop_map(|(one, two)| (one.min(two), one.max(two))),
    ];
    let addresses = prop_oneof![
        any::<(u32, u32)>().prop_map(|(one, two)| (
            7,
            [one.min(two).to_be_bytes(), one.max(two).to_be_bytes()].concat()
        )),
        any::<(u128, u128)>().prop_map(|(one, two)| (
            8,
            [one.min(two).to_be_bytes(), one.max(two).to_be_bytes()].concat()
        )),
    ];
    prop_oneof![
        3 => (any::<u8>(), ports, addresses).prop_map(|(protocol, (first, last), (kind, addresses))| {
            let inside = [&first.to_be_bytes()[..], &last.to_be_bytes(), &addresses].concat();
            [&[kind, protocol][..], &length(&inside, 4), &inside].concat()
        }),
        1 => (prop_oneof![0..7u8, 9u8..], any::<u8>(), vec(any::<u8>(), 0..20))
            .prop_map(|(kind, protocol, body)| [&[kind, protocol][..], &length(&body, 4), &body].concat()),
    ]
}

fn bytes(least: usize, most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), least..=most)
}

fn body() -> impl Strategy<Value = Body> {
    let selectors = (44..=45u8, any::<[u8; 3]>(), vec(selector(), 1..5));
    let attribute = (any::<u16>(), bytes(0, 20));
    let identity = prop_oneof![
        (Just(1u8), bytes(4, 4)),
        (Just(5), bytes(16, 16)),
        (prop::sample::select(vec![2, 3, 9, 11, 200]), bytes(0, 40)),
    ];
    let delete = prop_oneof![
        Just(vec![1, 0, 0, 0]),
        (2..=3u8, vec(any::<[u8; 4]>(), 0..5)).prop_map(|(protocol, spis)| {
            [&[protocol, 4, 0, spis.len() as u8][..], &spis.concat()].concat()
        }),
        (4u8.., 1..9u8, 0..4u8, bytes(32, 32)).prop_map(|(protocol, size, count, spis)| {
            [
                &[protocol, size, 0, count][..],
                &spis[..usize::from(size) * usize::from(count)],
            ]
            .concat()
        }),
    ];
    let eap = prop_oneof![
        (1..=2u8, any::<u8>(), bytes(1, 30)),
        (3..=4u8, any::<u8>(), Just(vec![])),
    ];
    prop_oneof![
        vec(proposal(), 1..4).prop_map(|proposals| (33, chain(&proposals, 2))),
        bytes(4, 80).prop_map(|body| (34, body)),
        (35..=36u8, any::<[u8; 3]>(), identity)
            .prop_map(|(kind, reserved, (id, data))| (kind, [&[id][..], &reserved, &data].concat())),
        (37..=38u8, bytes(1, 60)),
        bytes(4, 60).prop_map(|body| (39, body)),
        bytes(16, 256).prop_map(|body| (40, body)),
        (any::<u8>(), bytes(0, 8), any::<u16>(), bytes(0, 30)).prop_map(|(protocol, spi, kind, data)| {
            (
                41,
                [&[protocol, spi.len() as u8][..], &kind.to_be_bytes(), &spi, &data].concat(),
            )
        }),
        delete.prop_map(|body| (42, body)),
        bytes(0, 30).prop_map(|body| (43, body)),
        selectors.prop_map(|(kind, reserved, selectors)| {
            (
                kind,
                [&[selectors.len() as u8][..], &reserved, &selectors.concat()].concat(),
            )
        }),
        (any::<[u8; 4]>(), vec(attribute, 0..5)).prop_map(|(head, attributes)| {
            let attributes = attributes
                .iter()
                .flat_map(|(kind, value)| [&kind.to_be_bytes()[..], &length(value, 0), value].concat());
            (47, head.into_iter().chain(attributes).collect())
        }),
        eap.prop_map(|(code, identifier, data)| (
            48,
            [&[code, identifier][..], &length(&data, 4), &data].concat()
        )),
        (prop_oneof![1..33u8, 49..53u8, 54u8..], bytes(0, 30)),
    ]
}

/// What an encrypted payload's header names, its type, and its body.
fn encrypted() -> impl Strategy<Value = (u8, Body)> {
    let fragment =
        (any::<u16>(), any::<u16>()).prop_map(|(one, two)| (one.min(two).max(1), one.max(two).max(1)));
    prop_oneof![
        (any::<u8>(), bytes(0, 80)).prop_map(|(first, content)| (first, (46, content))),
        (any::<u8>(), fragment, bytes(0, 80)).prop_map(|(first, (number, total), content)| {
            (
                first,
                (
                    53,
                    [&number.to_be_bytes()[..], &total.to_be_bytes(), &content].concat(),
                ),
            )
        }),
    ]
}

/// A whole message.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    let header = (any::<[u8; 16]>(), 0..16u8, any::<u8>(), any::<u8>(), any::<u32>());
    let payloads = (
        vec((body(), any::<u8>()), 0..8),
        prop::option::of((encrypted(), any::<u8>())),
    );
    (header, payloads).prop_map(
        |((spis, minor, exchange, flags, id), (mut payloads, encrypted))| {
            let inner = encrypted.map(|((inner, body), flags)| {
                payloads.push((body, flags));
                inner
            });
            let kinds: Vec<u8> = payloads.iter().map(|((kind, _), _)| *kind).collect();
            let mut chain = Vec::new();
            for (at, ((kind, body), flags)) in payloads.iter().enumerate() {
                let next = kinds.get(at + 1).copied().or(inner).unwrap_or(0);
                // What is not known and critical is refused.
                let flags = if (33..=48).contains(kind) || *kind == 53 {
                    *flags
                } else {
                    flags & 0x7f
                };
                chain.extend([next, flags]);
                chain.extend(length(body, 4));
                chain.extend(body);
            }
            let first = kinds.first().copied().unwrap_or(0);
            let head = [
                &spis[..],
                &[first, 0x20 | minor, exchange, flags],
                &id.to_be_bytes(),
            ]
            .concat();
            [&head[..], &(28 + chain.len() as u32).to_be_bytes(), &chain].concat()
        },
    )
}
