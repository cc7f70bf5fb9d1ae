//! `/proc/PID/numa_maps`: which huge pages a process has mapped, by size and node; numa(7).
//!
//! ```text
//!   7f2a40000000 default file=/dev/hugepages/tg-bluemap_0 huge dirty=3 N0=2 N1=1 kernelpagesize_kB=2048
//! ```

use std::collections::BTreeMap;

use crate::size::PageSize;

/// Pages by size and node.
pub(crate) type Mapped = BTreeMap<(PageSize, u32), u64>;

/// Adds up the lines of huge pages.
pub(crate) fn parse(text: &str) -> Mapped {
    let mut mapped = Mapped::new();
    for line in text.lines() {
        let fields = || line.split(' ');
        let size = fields()
            .find_map(|field| field.strip_prefix("kernelpagesize_kB=")?.parse::<u64>().ok())
            .and_then(|kib| PageSize::from_bytes(kib.checked_mul(1024)?));
        // Names of files cannot be taken for fields: the kernel writes their spaces and '=' as octal.
        let (Some(size), true) = (size, fields().any(|field| field == "huge")) else {
            continue;
        };
        for (node, pages) in fields().filter_map(of_node) {
            let sum = mapped.entry((size, node)).or_default();
            *sum = u64::saturating_add(*sum, pages);
        }
    }
    mapped
}

fn of_node(field: &str) -> Option<(u32, u64)> {
    let (node, pages) = field.strip_prefix('N')?.split_once('=')?;
    Some((node.parse().ok()?, pages.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn huge_pages_are_added_up_by_size_and_node() {
        let text = "7f2a40000000 default file=/dev/hugepages/a huge dirty=3 N0=2 N1=1 kernelpagesize_kB=2048\n\
                    7f2a48000000 default anon=10 dirty=10 N0=10 kernelpagesize_kB=4\n\
                    7f2a50000000 bind:1 file=/anon_hugepage\\040(deleted) huge anon=4 dirty=4 N1=4 kernelpagesize_kB=2048\n\
                    7f2a60000000 default file=/x huge dirty=1 N0=1 kernelpagesize_kB=1048576\n\
                    7f2a70000000 default file=/dev/hugepages/untouched huge\n";
        let found: Vec<_> = parse(text)
            .into_iter()
            .map(|((size, node), n)| (size.to_string(), node, n))
            .collect();
        assert_eq!(
            found,
            [("2M".into(), 0, 2), ("2M".into(), 1, 5), ("1G".into(), 0, 1)]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fall(text in "(huge|N[0-9]{1,20}=[0-9]{1,24}|kernelpagesize_kB=[0-9]{1,20}| |\n){0,40}") {
            let _ = parse(&text);
        }
    }
}
