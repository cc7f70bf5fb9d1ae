//! What a worker says of its SAs: each matter once.

use super::news::SaMatter;

/// What happened to an SA, and what of it the control thread was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    due: u8,
    told: u8,
}

impl Told {
    /// Notes that something happened; again and again is once.
    #[inline]
    pub(crate) fn note(&mut self, matter: SaMatter) {
        self.due |= matter as u8;
    }

    /// Whether there is something to say.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.due & !self.told != 0
    }

    /// Says what is due. What `say` does not take is due the next time.
    #[cold]
    pub(crate) fn tell(&mut self, mut say: impl FnMut(SaMatter) -> bool) {
        for matter in SaMatter::ALL {
            let bit = matter as u8;
            if self.due & !self.told & bit != 0 && say(matter) {
                self.told |= bit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_matter_is_said_once_and_again_until_it_is_taken() {
        let mut told = Told::default();
        assert!(!told.is_due());
        told.note(SaMatter::Hard);
        told.note(SaMatter::Soft);
        told.note(SaMatter::Hard);
        let mut said = Vec::new();
        // The channel has room for one.
        told.tell(|matter| {
            said.push(matter);
            said.len() == 1
        });
        assert_eq!(said, [SaMatter::Soft, SaMatter::Hard]);
        assert!(told.is_due());
        said.clear();
        told.tell(|matter| {
            said.push(matter);
            true
        });
        assert_eq!(said, [SaMatter::Hard]);
        told.note(SaMatter::Hard);
        assert!(!told.is_due());
        told.tell(|matter| panic!("{matter:?} is said twice"));
    }
}
