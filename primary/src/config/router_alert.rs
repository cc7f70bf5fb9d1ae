//! `[router_alert]`.

use std::fmt;

use document::Section;

use crate::worker::AlertPolicy;

/// `[router_alert]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAlert {
    /// How many go to a tool.
    pub limits: AlertPolicy,
}

impl RouterAlert {
    pub(super) fn parse(section: Section<'_>) -> Self {
        let limits = AlertPolicy::parse(&section);
        section.finish();
        Self { limits }
    }
}

/// As one line says it.
impl fmt::Display for RouterAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.limits)
    }
}
