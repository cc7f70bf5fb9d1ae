//! How the numbers of IANA's "Internet Key Exchange Version 2 (IKEv2) Parameters" become types.

/// A newtype over a number of a registry: constants for what has a name, any other value kept as it is.
macro_rules! registry {
    (
        $(#[$meta:meta])*
        $name:ident($int:ty), $what:literal:
        $($constant:ident = $value:literal, $text:literal, $source:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = concat!("`", $text, "` (", $source, ").")]
                pub const $constant: $name = $name($value);
            )*

            /// All that have a name, in the order of their numbers.
            pub const KNOWN: &'static [$name] = &[$($name::$constant),*];

            /// The name that IANA has for it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!($what, " {}"), self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

pub(crate) use registry;

#[cfg(test)]
mod tests {
    use crate::wire::{ExchangeType, NotifyType, PayloadType};

    #[test]
    fn numbers_without_a_name_are_shown_as_numbers() {
        assert_eq!(ExchangeType::IKE_SA_INIT.to_string(), "IKE_SA_INIT");
        assert_eq!(format!("{:?}", ExchangeType(99)), "exchange type 99");
        assert_eq!(NotifyType(40_000).to_string(), "notify type 40000");
        assert_eq!(NotifyType(40_000).name(), None);
    }

    #[test]
    fn no_number_is_there_twice() {
        for known in [
            PayloadType::KNOWN
                .iter()
                .map(|kind| kind.0.into())
                .collect::<Vec<u16>>(),
            NotifyType::KNOWN.iter().map(|kind| kind.0).collect(),
        ] {
            assert!(known.is_sorted_by(|one, next| one < next), "{known:?}");
        }
    }
}
