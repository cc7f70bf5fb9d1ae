//! Why the daemon does not attach again, for people.

use control::message::{ControlError, ErrorCode};

/// A reason counts when it has come so often in a row: a primary that starts or ends has others for a moment.
const LASTS: u32 = 5;

/// The reason of the last attempts to attach.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    sentence: String,
    times: u32,
}

impl Refusal {
    /// Takes why an attempt failed; gives the sentence when it is to be said now.
    pub(super) fn note(&mut self, error: &ControlError) -> Option<&str> {
        // Just no primary: it is waited for.
        if matches!(
            error.code,
            ErrorCode::InstanceDead | ErrorCode::NotFound | ErrorCode::UnknownInstance
        ) {
            *self = Self::default();
            return None;
        }
        let sentence = error.to_string();
        if sentence != self.sentence {
            *self = Self { sentence, times: 0 };
        }
        self.times = self.times.saturating_add(1);
        (self.times == LASTS).then_some(&self.sentence)
    }

    /// The reason, if there is one that counts.
    pub(super) fn why(&self) -> Option<&str> {
        (self.times >= LASTS).then_some(&self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_when_it_has_lasted() {
        let busy = ControlError::new(ErrorCode::Busy, "another has class ike");
        let mut refusal = Refusal::default();
        for time in 1..20 {
            assert_eq!(refusal.note(&busy).is_some(), time == LASTS, "{time}");
            assert_eq!(refusal.why().is_some(), time >= LASTS, "{time}");
        }
        assert_eq!(refusal.why(), Some(busy.to_string().as_str()));
        // One that is there for a moment is not said, and no primary is no reason.
        let starting = ControlError::new(ErrorCode::NoAnswer, "it is starting or ending");
        assert_eq!(refusal.note(&starting), None);
        assert_eq!(refusal.why(), None);
        for code in [
            ErrorCode::InstanceDead,
            ErrorCode::NotFound,
            ErrorCode::UnknownInstance,
        ] {
            for _ in 0..20 {
                assert_eq!(refusal.note(&ControlError::new(code, "none")), None);
            }
            assert_eq!(refusal.why(), None);
        }
        let said = (0..LASTS).filter(|_| refusal.note(&busy).is_some()).count();
        assert_eq!(said, 1);
    }
}
