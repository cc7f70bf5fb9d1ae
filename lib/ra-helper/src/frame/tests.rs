use proptest::prelude::*;

use super::*;

fn verdicts(packet: &[u8]) -> [Verdict<'_>; 5] {
    [
        Verdict::Forward,
        Verdict::Changed(packet),
        Verdict::Drop,
        Verdict::Prohibited,
        Verdict::Hold(250),
    ]
}

#[test]
fn messages_are_these_bytes() {
    let question = Question {
        id: 0x0102_0304_0506_0708,
        time_ns: 0x1112_1314_1516_1718,
        value: 0xffdf,
        family: Family::Six,
        interface: "lan",
        rule: "demo",
        packet: &[0x60, 0, 0, 1],
    };
    let expected = [
        &[1, 1, 0, 0, 0, 0, 0, 43][..],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
        &[0xff, 0xdf, 6, 3, 4, 0, 0, 0],
        b"landemo",
        &[0x60, 0, 0, 1],
    ]
    .concat();
    assert_eq!(question.encode(), expected);
    assert_eq!(Question::decode(&expected), Ok(question));

    let answer = Answer {
        id: 7,
        verdict: Verdict::Hold(300),
    };
    let expected = [
        &[1, 2, 0, 0, 0, 0, 0, 24][..],
        &[0, 0, 0, 0, 0, 0, 0, 7],
        &[5, 0, 0, 0, 0, 0, 1, 0x2c],
    ]
    .concat();
    assert_eq!(answer.encode(), expected);
    assert_eq!(Answer::decode(&expected), Ok(answer));
}

#[test]
fn what_is_no_answer_is_refused() {
    let right = Answer {
        id: 7,
        verdict: Verdict::Drop,
    }
    .encode();
    let with = |offset: usize, byte: u8| {
        let mut wrong = right.clone();
        wrong[offset] = byte;
        wrong
    };
    for (message, error) in [
        (with(0, 2), FrameError::Version(2)),
        (with(1, 1), FrameError::Kind(1)),
        (with(7, 25), FrameError::Size(24)),
        (with(16, 0), FrameError::Verdict(0)),
        (with(16, 6), FrameError::Verdict(6)),
        (with(16, 5), FrameError::Hold(0)),
        (right[..23].to_vec(), FrameError::Size(23)),
        (Vec::new(), FrameError::Size(0)),
    ] {
        assert_eq!(Answer::decode(&message), Err(error), "{message:?}");
    }
    // Bytes behind a verdict that has none.
    let mut longer = [&right[..], &[1]].concat();
    longer[7] = 25;
    assert_eq!(Answer::decode(&longer), Err(FrameError::Size(25)));
}

#[test]
fn a_stream_that_is_no_sequence_of_messages_is_refused_at_its_first_bytes() {
    for (bytes, error) in [
        (&b"hello world"[..], FrameError::Version(b'h')),
        (&[1, 2, 0, 0, 0, 0, 0, 15], FrameError::Length(15)),
        (&[1, 2, 0, 0, 0, 2, 0, 1], FrameError::Length(131_073)),
    ] {
        let mut messages = Messages::default();
        messages.push(bytes);
        assert_eq!(messages.take(), Err(error));
    }
}

#[test]
fn a_long_name_is_cut_where_a_character_ends() {
    let name = format!("{}{}", "a".repeat(254), "ü");
    let question = Question {
        id: 1,
        time_ns: 0,
        value: 0,
        family: Family::Four,
        interface: &name,
        rule: "",
        packet: &[],
    };
    let message = question.encode();
    assert_eq!(Question::decode(&message).unwrap().interface, "a".repeat(254));
}

proptest! {
    #[test]
    fn a_question_comes_out_as_it_went_in(
        (id, time_ns, value, six) in any::<(u64, u64, u16, bool)>(),
        (interface, rule) in ("[a-z0-9.]{0,15}", "\\PC{0,31}"),
        packet in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let family = if six { Family::Six } else { Family::Four };
        let question = Question { id, time_ns, value, family, interface: &interface, rule: &rule, packet: &packet };
        let message = question.encode();
        prop_assert_eq!(Question::decode(&message), Ok(question));
        // No part of it is a whole message.
        for end in [0, 8, 31, message.len() - 1] {
            prop_assert!(Question::decode(&message[..end.min(message.len() - 1)]).is_err());
        }
    }

    #[test]
    fn an_answer_comes_out_as_it_went_in(id: u64, packet in prop::collection::vec(any::<u8>(), 0..2000)) {
        for verdict in verdicts(&packet) {
            let answer = Answer { id, verdict };
            let message = answer.encode();
            prop_assert_eq!(Answer::decode(&message), Ok(answer));
        }
    }

    #[test]
    fn messages_are_found_however_a_pipe_cuts_them(
        ids in prop::collection::vec(any::<u64>(), 1..20),
        packet in prop::collection::vec(any::<u8>(), 0..100),
        cuts in prop::collection::vec(1..90usize, 1..40),
    ) {
        let sent: Vec<_> = ids
            .iter()
            .map(|id| Answer { id: *id, verdict: verdicts(&packet)[*id as usize % 5] })
            .collect();
        let bytes: Vec<u8> = sent.iter().flat_map(Answer::encode).collect();
        let mut messages = Messages::default();
        let (mut rest, mut seen) = (&bytes[..], 0);
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            messages.push(part);
            rest = behind;
            while let Some(message) = messages.take().unwrap() {
                prop_assert_eq!(Answer::decode(message), Ok(sent[seen]));
                seen += 1;
            }
        }
        prop_assert_eq!(seen, sent.len());
        prop_assert!(!messages.has_rest());
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Question::decode(&bytes), Answer::decode(&bytes));
        let mut messages = Messages::default();
        messages.push(&bytes);
        while let Ok(Some(message)) = messages.take() {
            prop_assert!(message.len() >= HEADER);
        }
    }
}
