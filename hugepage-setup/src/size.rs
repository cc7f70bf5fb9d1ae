//! Sizes of huge pages, and amounts of memory as people read them.

use std::fmt;
use std::str::FromStr;

/// The size of a huge page: a power of two of 64 KiB or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageSize(u64);

/// Text that is no size of a huge page.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not a size of huge pages: use 2M or 1G (or what else this CPU has, as a power of two with K, M or G)"
)]
pub(crate) struct BadSize(String);

impl PageSize {
    /// The size of `bytes`, if pages can have it.
    pub(crate) fn from_bytes(bytes: u64) -> Option<Self> {
        (bytes.is_power_of_two() && bytes >= 64 << 10).then_some(Self(bytes))
    }

    /// In bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }

    /// Logarithm to base 2, which is how mmap(2) wants it.
    pub(crate) fn bits(self) -> u8 {
        self.0.trailing_zeros() as u8
    }

    /// The name of its directory in sysfs.
    pub(crate) fn sysfs_name(self) -> String {
        format!("hugepages-{}kB", self.0 >> 10)
    }

    /// The size that a directory in sysfs is for.
    pub(crate) fn from_sysfs_name(name: &str) -> Option<Self> {
        let kib: u64 = name
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse()
            .ok()?;
        Self::from_bytes(kib.checked_mul(1024)?)
    }
}

impl FromStr for PageSize {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let parse = || {
            let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let shift = match unit {
                "K" | "k" => 10,
                "M" | "m" => 20,
                "G" | "g" => 30,
                _ => return None,
            };
            Self::from_bytes(digits.parse::<u64>().ok()?.checked_mul(1 << shift)?)
        };
        parse().ok_or_else(|| BadSize(text.to_owned()))
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0.trailing_zeros() {
            30.. => (self.0 >> 30, 'G'),
            20.. => (self.0 >> 20, 'M'),
            _ => (self.0 >> 10, 'K'),
        };
        f.pad(&format!("{count}{unit}"))
    }
}

/// An amount of memory in bytes, shown in the largest unit that leaves no long fraction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.0 {
            bytes if bytes >= 10 << 30 || (bytes >= 1 << 30 && bytes.trailing_zeros() >= 30) => {
                format!("{} GiB", bytes >> 30)
            }
            bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} bytes"),
        };
        f.pad(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_page_size_is_refused() {
        for bad in [
            "",
            "M",
            "2",
            "3M",
            "0M",
            "-2M",
            "2MB",
            "4K",
            "99999999999999999999G",
            "17179869184G",
            "ü",
        ] {
            assert!(bad.parse::<PageSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_size_has_one_text() {
        let text = |from: &str| from.parse::<PageSize>().unwrap().to_string();
        assert_eq!(text("1024M"), "1G");
        assert_eq!(text("2048K"), "2M");
        assert_eq!(text("64k"), "64K");
    }

    proptest! {
        #[test]
        fn text_and_sysfs_name_lead_back_to_the_size(bits in 16u32..63) {
            let size = PageSize::from_bytes(1 << bits).unwrap();
            prop_assert_eq!(size.to_string().parse::<PageSize>().unwrap(), size);
            prop_assert_eq!(PageSize::from_sysfs_name(&size.sysfs_name()), Some(size));
            prop_assert_eq!(u32::from(size.bits()), bits);
        }

        #[test]
        fn no_text_makes_the_parser_fall(text in ".*") {
            let _ = text.parse::<PageSize>();
            let _ = PageSize::from_sysfs_name(&text);
        }
    }
}
