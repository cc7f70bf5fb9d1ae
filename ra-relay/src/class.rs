//! What the primary does with router alerts in general: the class of `[[punt]]`.

use std::time::Duration;

use control::message::{ControlError, ErrorCode, FailMode, PuntClass, Reply};

/// What the class of router alerts is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What becomes of its packets without an answer, unless their rule says something else.
    pub fail: FailMode,
    /// How long the primary waits for an answer.
    pub deadline: Duration,
}

impl Class {
    /// The class in the answer to [`control::message::Request::PuntShow`].
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn of(reply: Reply) -> Result<Self, ControlError> {
        let classes = match reply {
            Reply::Punts(classes) => classes,
            _ => Vec::new(),
        };
        let class = classes
            .iter()
            .find(|class| class.class == PuntClass::RouterAlert)
            .and_then(|class| Some((class.fail?, class.deadline_ms?)));
        match class {
            Some((fail, milliseconds)) => Ok(Self {
                fail,
                deadline: Duration::from_millis(milliseconds.into()),
            }),
            None => Err(ControlError::new(
                ErrorCode::VersionMismatch,
                "the primary has no class of router alerts: use a relay of the primary's build".to_owned(),
            )),
        }
    }
}
