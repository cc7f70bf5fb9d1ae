//! The options of an IPv4 header (RFC 791 §3.1).
//!
//! ```text
//!    0       1       2
//!   +-------+-------+- - - - - - - +     kind: C cc nnnnn, C says that every fragment has the option
//!   | kind  | length| data         |     length counts kind and itself
//!   +-------+-------+- - - - - - - +     end (0) and no operation (1) are their kind alone
//! ```

/// Kinds of options.
pub mod option_kind {
    /// Nothing follows.
    pub const END: u8 = 0;
    /// One byte of padding.
    pub const NO_OPERATION: u8 = 1;
    /// Asks the routers on the way to look at the packet (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;
}

/// The bit of a kind that says that every fragment has the option.
const COPIED: u8 = 0x80;

/// Why options cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the option at byte {offset} of the IPv4 options has a length below 2 or goes beyond the header; its sender is at fault"
)]
pub struct OptionError {
    /// Where the option begins, from the first option on.
    pub offset: usize,
    /// The octet that is wrong, from the first option on: the length, or the kind if nothing is behind it.
    pub pointer: usize,
}

/// An option that has a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Its kind, see [`option_kind`].
    pub kind: u8,
    /// Where it begins, from the first option on.
    pub offset: usize,
    /// All of it, kind and length included: at least 2 bytes.
    pub bytes: &'a [u8],
}

impl Ipv4Option<'_> {
    /// Every fragment has it.
    #[inline]
    pub const fn is_copied(&self) -> bool {
        self.kind & COPIED != 0
    }
}

/// The options in order, without "no operation". Ends with the list, and after an error.
///
/// ```
/// use packet::ipv4_options::Ipv4Options;
///
/// let mut options = Ipv4Options::new(&[1, 148, 4, 0, 7, 0, 0, 0]);
/// assert_eq!(options.next().and_then(Result::ok).map(|option| option.offset), Some(1));
/// assert_eq!(options.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    options: &'a [u8],
    offset: usize,
}

impl<'a> Ipv4Options<'a> {
    /// The options of a header, as [`crate::Ipv4::options`] gives them.
    #[inline]
    pub const fn new(options: &'a [u8]) -> Self {
        Self { options, offset: 0 }
    }
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, OptionError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = loop {
            match *self.options.get(self.offset)? {
                option_kind::END => return None,
                option_kind::NO_OPERATION => self.offset += 1,
                kind => break kind,
            }
        };
        let offset = self.offset;
        let length = self.options.get(offset + 1).copied();
        let end = offset + usize::from(length.unwrap_or_default());
        let bytes = self.options.get(offset..end).filter(|bytes| bytes.len() >= 2);
        let Some(bytes) = bytes else {
            let pointer = offset + usize::from(length.is_some());
            self.options = &[];
            return Some(Err(OptionError { offset, pointer }));
        };
        self.offset = end;
        Some(Ok(Ipv4Option { kind, offset, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(options: &[u8]) -> Result<Vec<(u8, usize, usize)>, usize> {
        Ipv4Options::new(options)
            .map(|option| {
                let option = option.map_err(|error| error.pointer)?;
                Ok((option.kind, option.offset, option.bytes.len()))
            })
            .collect()
    }

    #[test]
    fn options_come_in_order_up_to_the_end_of_the_list() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(
            read(&[1, 7, 3, 4, 1, 148, 4, 0, 0]),
            Ok(vec![(7, 1, 3), (148, 5, 4)])
        );
        assert_eq!(read(&[148, 4, 0, 5, 0, 148, 9]), Ok(vec![(148, 0, 4)]));
        // What looks like an option is the data of another.
        assert_eq!(read(&[9, 4, 148, 4]), Ok(vec![(9, 0, 4)]));
    }

    #[test]
    fn what_is_wrong_is_pointed_at_and_ends_the_options() {
        for (options, pointer) in [
            (&[7, 0, 148, 4][..], 1),
            (&[1, 7, 1, 148, 4], 2),
            (&[148, 5, 0, 0], 1),
            (&[1, 148], 1),
        ] {
            assert_eq!(read(options), Err(pointer), "{options:?}");
        }
        let mut options = Ipv4Options::new(&[7, 0, 148, 4, 0, 0]);
        assert!(options.next().unwrap().is_err());
        assert_eq!(options.next(), None);
    }

    #[test]
    fn the_high_bit_of_the_kind_says_that_fragments_have_the_option() {
        let options = [68, 4, 5, 0, 148, 4, 0, 0];
        let copied: Vec<_> = Ipv4Options::new(&options)
            .map(|option| option.unwrap().is_copied())
            .collect();
        assert_eq!(copied, [false, true]);
    }

    proptest! {
        #[test]
        fn any_options_are_walked_to_an_end_without_overlap(options in prop::collection::vec(any::<u8>(), 0..41)) {
            let mut behind = 0;
            for option in Ipv4Options::new(&options) {
                match option {
                    Ok(option) => {
                        prop_assert!(option.offset >= behind && option.bytes.len() >= 2);
                        behind = option.offset + option.bytes.len();
                        prop_assert_eq!(option.bytes, &options[option.offset..behind]);
                    }
                    Err(error) => prop_assert!(error.offset <= error.pointer && error.pointer < options.len()),
                }
            }
        }
    }
}
