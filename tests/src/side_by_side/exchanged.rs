//! What two routers made of the same frame, and what is different about it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::frame::{Frame, differences};

/// One stimulus and what came of it, as exchange.py prints it.
#[derive(Debug, Deserialize)]
pub(super) struct Exchanged {
    /// Names the stimulus.
    pub(super) key: String,
    sent: String,
    linux: Vec<(usize, String)>,
    tollgate: Vec<(usize, String)>,
}

impl Exchanged {
    /// Whether one of them sent anything.
    pub(super) fn has_output(&self) -> bool {
        !(self.linux.is_empty() && self.tollgate.is_empty())
    }

    /// What is different, each in the words of the second column of the table.
    pub(super) fn differences(&self) -> BTreeSet<String> {
        let sent = unhex(&self.sent);
        let sent = Frame::new(&sent);
        let frames = |side: &[(usize, String)]| -> Vec<_> {
            side.iter().map(|(link, frame)| (*link, unhex(frame))).collect()
        };
        let (mut linux, mut tollgate) = (frames(&self.linux), frames(&self.tollgate));
        let mut found = BTreeSet::new();
        for (_, frame) in &tollgate {
            if !Frame::new(frame).is_sound(&sent) {
                found.insert("not sound".to_owned());
            }
        }
        // What is the same first, then what is of the same kind.
        take_pairs(&mut linux, &mut tollgate, |one, other| one == other);
        let kind = |frame: &(usize, Vec<u8>)| (frame.0, Frame::new(&frame.1).summary(&sent));
        for (one, other) in take_pairs(&mut linux, &mut tollgate, |one, other| kind(one) == kind(other)) {
            let names = differences(&Frame::new(&one.1), &Frame::new(&other.1), &sent);
            found.extend(names.into_iter().map(str::to_owned));
        }
        for (name, side) in [("linux", &linux), ("tollgate", &tollgate)] {
            found.extend(
                side.iter()
                    .map(kind)
                    .map(|(link, what)| format!("{name}: {what} on {link}")),
            );
        }
        found
    }
}

type Framed = (usize, Vec<u8>);

/// Takes out of both lists what belongs together.
fn take_pairs(
    ones: &mut Vec<Framed>,
    others: &mut Vec<Framed>,
    belong: impl Fn(&Framed, &Framed) -> bool,
) -> Vec<(Framed, Framed)> {
    let mut pairs = Vec::new();
    ones.retain(|one| {
        let found = others.iter().position(|other| belong(one, other));
        pairs.extend(found.map(|position| (one.clone(), others.remove(position))));
        found.is_none()
    });
    pairs
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().as_chunks::<2>().0.iter();
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
