//! Answers in as many frames as they need: each takes as many IKE SAs or profiles as there is room for. One that is longer than a
//! frame goes on in the next, with the same names and numbers and the rest of what it protects.

use serde::Serialize;

use super::{IkeChild, IkeProfile, IkeProfileChild, IkeReply, IkeSa};
use crate::frame::MAX_FRAME;

/// What a page takes, bytes; the rest is for what stands in front of it, and for how many children there are.
const ROOM: usize = MAX_FRAME - 64;

/// Something with children, among which it may be divided.
trait Divided: Serialize {
    type Child: Serialize;
    /// Without its children.
    fn head(&self) -> Self;
    fn children(&mut self) -> &mut Vec<Self::Child>;
    /// Whether the other is the rest of this one.
    fn goes_on_in(&self, other: &Self) -> bool;
}

impl Divided for IkeSa {
    type Child = IkeChild;

    fn head(&self) -> Self {
        Self {
            children: Vec::new(),
            ..self.clone()
        }
    }

    fn children(&mut self) -> &mut Vec<IkeChild> {
        &mut self.children
    }

    fn goes_on_in(&self, other: &Self) -> bool {
        let id = |sa: &Self| (sa.initiator, sa.initiator_spi, sa.responder_spi);
        id(self) == id(other) && self.remote == other.remote
    }
}

impl Divided for IkeProfile {
    type Child = IkeProfileChild;

    fn head(&self) -> Self {
        Self {
            children: Vec::new(),
            ..self.clone()
        }
    }

    fn children(&mut self) -> &mut Vec<IkeProfileChild> {
        &mut self.children
    }

    fn goes_on_in(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl IkeReply {
    /// IKE SAs in pages.
    pub fn pages_of_sas(all: impl IntoIterator<Item = IkeSa>) -> Vec<Self> {
        fill(all).into_iter().map(Self::Sas).collect()
    }

    /// Profiles in pages.
    pub fn pages_of_profiles(all: impl IntoIterator<Item = IkeProfile>) -> Vec<Self> {
        fill(all).into_iter().map(Self::Profiles).collect()
    }

    /// The IKE SAs of pages, each whole.
    pub fn sas(pages: impl IntoIterator<Item = Self>) -> Vec<IkeSa> {
        join(pages.into_iter().filter_map(|reply| match reply {
            Self::Sas(page) => Some(page),
            _ => None,
        }))
    }

    /// The profiles of pages, each whole.
    pub fn profiles(pages: impl IntoIterator<Item = Self>) -> Vec<IkeProfile> {
        join(pages.into_iter().filter_map(|reply| match reply {
            Self::Profiles(page) => Some(page),
            _ => None,
        }))
    }
}

/// Bytes that something takes in a frame. What cannot be encoded fits nowhere.
fn size(something: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(something).unwrap_or(MAX_FRAME)
}

fn fill<T: Divided>(all: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut left = 0;
    for mut whole in all {
        let takes = size(&whole);
        if takes <= left {
            left -= takes;
            if let Some(page) = pages.last_mut() {
                page.push(whole);
            }
            continue;
        }
        if takes <= ROOM {
            left = ROOM - takes;
            pages.push(vec![whole]);
            continue;
        }
        let (head, children) = (whole.head(), std::mem::take(whole.children()));
        let head_takes = size(&head);
        left = ROOM.saturating_sub(head_takes);
        let mut piece = whole;
        for child in children {
            let takes = size(&child);
            if takes > left && !piece.children().is_empty() {
                pages.push(vec![std::mem::replace(&mut piece, head.head())]);
                left = ROOM.saturating_sub(head_takes);
            }
            left = left.saturating_sub(takes);
            piece.children().push(child);
        }
        pages.push(vec![piece]);
    }
    pages
}

fn join<T: Divided>(pages: impl Iterator<Item = Vec<T>>) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for mut item in pages.flatten() {
        match all.last_mut() {
            Some(last) if last.goes_on_in(&item) => last.children().append(item.children()),
            _ => all.push(item),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::ike::{IkeAnswer, IkeKeys};
    use crate::message::{Envelope, SaKeys};

    const SELECTOR: &str =
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:65535-65535";

    fn keys() -> SaKeys {
        SaKeys::new(Zeroizing::new(vec![0xff; 96]))
    }

    /// A pair of child SAs with so many traffic selectors at either end.
    fn child(spi: u32, selectors: usize) -> IkeChild {
        IkeChild {
            name: "x".repeat(31),
            tunnel: Some("a-name-of-fifte".to_owned()),
            inbound_spi: spi,
            outbound_spi: u32::MAX,
            transform: "aes256-sha512".to_owned(),
            esn: true,
            group: Some("curve25519".to_owned()),
            in_udp: true,
            local_ts: vec![SELECTOR.to_owned(); selectors],
            remote_ts: vec![SELECTOR.to_owned(); selectors],
            in_use: true,
            stays: true,
            keys: Some((keys(), keys())),
        }
    }

    fn sa(spi: u64, children: Vec<IkeChild>) -> IkeSa {
        IkeSa {
            profile: "x".repeat(31),
            state: "established".to_owned(),
            initiator: true,
            initiator_spi: u64::MAX - spi,
            responder_spi: u64::MAX,
            local: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(),
            remote: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(),
            local_id: Some("x".repeat(258)),
            remote_id: Some("x".repeat(258)),
            nat_here: true,
            nat_there: true,
            suite: Some("aes256-sha512-prfsha512-curve25519".to_owned()),
            age_ms: Some(u64::MAX),
            busy: true,
            children,
            keys: Some(IkeKeys {
                sk_d: keys(),
                sk_a: (keys(), keys()),
                sk_e: (keys(), keys()),
                sk_p: (keys(), keys()),
            }),
        }
    }

    /// Pages that all fit, and how many there are.
    fn fitting(pages: Vec<IkeReply>) -> (usize, Vec<IkeReply>) {
        for page in &pages {
            let body: IkeAnswer = Ok(page.clone());
            let frame = postcard::to_stdvec(&Envelope { id: u32::MAX, body }).unwrap();
            assert!(frame.len() <= MAX_FRAME, "{}", frame.len());
        }
        (pages.len(), pages)
    }

    #[test]
    fn the_largest_ike_sas_come_whole_in_frames_that_fit() {
        // The most child SAs; the most traffic selectors of some; many IKE SAs.
        let most = |selectors| (0..256).map(|spi| child(spi, selectors)).collect();
        for all in [
            vec![sa(1, most(1)), sa(2, most(255)), sa(3, Vec::new())],
            (0..2000).map(|spi| sa(spi, vec![child(1, 1)])).collect(),
        ] {
            let (count, pages) = fitting(IkeReply::pages_of_sas(all.clone()));
            // And no more of them than the bytes need, but for what is left over where the next is too long.
            let bytes: usize = all.iter().map(size).sum();
            assert!(
                count <= 2 * bytes.div_ceil(ROOM),
                "{count} pages for {bytes} bytes"
            );
            assert!(IkeReply::sas(pages) == all);
        }
        assert!(IkeReply::pages_of_sas([]).is_empty());
    }

    #[test]
    fn the_largest_profiles_come_whole_in_frames_that_fit() {
        let child = |number: usize| IkeProfileChild {
            name: format!("{number:031}"),
            tunnel: "a-name-of-fifte".to_owned(),
            esp_proposals: vec!["aes256gcm16-noesn-esn".repeat(10); 8],
            local_ts: vec![SELECTOR.to_owned(); 16],
            remote_ts: vec![SELECTOR.to_owned(); 16],
            rekey_seconds: u64::MAX,
            life_seconds: u64::MAX,
        };
        let profile = |number: usize| IkeProfile {
            name: format!("{number:031}"),
            local_address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
            remote_address: Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe".parse().unwrap()),
            local_id: "x".repeat(258),
            remote_id: Some("x".repeat(258)),
            local_auth: "certificate".to_owned(),
            remote_auth: "certificate".to_owned(),
            ike_proposals: vec!["aes256gcm16-prfsha256-modp2048".repeat(10); 8],
            start: "start".to_owned(),
            childless: true,
            rekey_seconds: u64::MAX,
            life_seconds: u64::MAX,
            dpd_seconds: u64::MAX,
            dpd_action: "restart".to_owned(),
            children: (0..256).map(child).collect(),
        };
        let all: Vec<IkeProfile> = (0..8).map(profile).collect();
        let (count, pages) = fitting(IkeReply::pages_of_profiles(all.clone()));
        assert!(count > all.len());
        assert!(IkeReply::profiles(pages) == all);
    }
}
