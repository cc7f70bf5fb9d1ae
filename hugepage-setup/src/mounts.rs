//! The table of mounts, and what of it is huge pages; proc(5), /proc/PID/mounts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::host::{Host, read};
use crate::size::PageSize;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What is mounted; free text for hugetlbfs.
    pub(crate) source: String,
    /// Where.
    pub(crate) path: PathBuf,
    /// The file system.
    pub(crate) kind: String,
    /// The size of its pages, for hugetlbfs.
    pub(crate) page_size: Option<PageSize>,
    /// The most bytes that its files may hold, where the mount has such a limit.
    pub(crate) limit: Option<u64>,
}

/// All mounts that can be seen: of two at one path the later one.
pub(crate) fn all(host: &Host) -> Result<Vec<Mount>, Error> {
    let default_size = host.default_page_size()?;
    let table = read(&host.proc.join("mounts"))?;
    let mut seen: Vec<Mount> = Vec::new();
    for mount in table.lines().filter_map(|line| parse(line, default_size)) {
        seen.retain(|earlier| earlier.path != mount.path);
        seen.push(mount);
    }
    Ok(seen)
}

/// Mounts of huge pages.
pub(crate) fn huge(host: &Host) -> Result<Vec<Mount>, Error> {
    Ok(all(host)?
        .into_iter()
        .filter(|mount| mount.page_size.is_some())
        .collect())
}

fn parse(line: &str, default_size: PageSize) -> Option<Mount> {
    let fields: Vec<_> = line.split(' ').collect();
    let [source, path, kind, options, ..] = fields[..] else {
        return None;
    };
    let option = |key: &str| options.split(',').find_map(|option| option.strip_prefix(key));
    let huge = kind == "hugetlbfs";
    let page_size = huge.then(|| {
        let named = option("pagesize=");
        named.and_then(|size| size.parse().ok()).unwrap_or(default_size)
    });
    Some(Mount {
        source: unescape(source).to_string_lossy().into_owned(),
        path: unescape(path).into(),
        kind: kind.to_owned(),
        page_size,
        // The kernel writes it in bytes.
        limit: huge.then(|| option("size=")?.parse().ok()).flatten(),
    })
}

/// Blanks, tabs, newlines and backslashes are written as `\` and three octal digits.
fn unescape(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = (bytes[at] == b'\\').then(|| text.get(at + 1..at + 4)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Mount {
        parse(text, "2M".parse().unwrap()).unwrap()
    }

    #[test]
    fn mounts_of_huge_pages_are_told_by_their_size() {
        let mount = line("hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0");
        assert_eq!(
            (mount.path, mount.page_size),
            ("/dev/hugepages".into(), "2M".parse().ok())
        );
        assert_eq!(
            line("none /mnt/1g hugetlbfs rw,pagesize=1024M 0 0").page_size,
            "1G".parse().ok()
        );
        assert_eq!(
            line("none /mnt/old hugetlbfs rw,relatime 0 0").page_size,
            "2M".parse().ok()
        );
        assert_eq!(line("tmpfs /tmp tmpfs rw,pagesize=2M 0 0").page_size, None);
    }

    #[test]
    fn the_limit_of_a_mount_is_not_its_page_size() {
        let limit = |options: &str| line(&format!("none /mnt/a hugetlbfs {options} 0 0")).limit;
        assert_eq!(limit("rw,pagesize=2M,size=4194304"), Some(4 << 20));
        assert_eq!(limit("rw,pagesize=2M"), None);
        assert_eq!(line("tmpfs /tmp tmpfs rw,size=1024 0 0").limit, None);
    }

    #[test]
    fn of_two_mounts_at_one_path_the_later_one_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        std::fs::create_dir_all(&host.proc).unwrap();
        std::fs::write(host.proc.join("meminfo"), "Hugepagesize: 2048 kB\n").unwrap();
        let table = "a /a hugetlbfs rw,pagesize=2M 0 0\nb /b hugetlbfs rw,pagesize=2M 0 0\n\
                     c /a hugetlbfs rw,pagesize=1024M 0 0\nd /b tmpfs rw 0 0\n";
        std::fs::write(host.proc.join("mounts"), table).unwrap();
        let sources: Vec<_> = huge(&host)
            .unwrap()
            .into_iter()
            .map(|mount| mount.source)
            .collect();
        assert_eq!(sources, ["c"]);
    }

    #[test]
    fn paths_with_blanks_are_read() {
        assert_eq!(
            line(r"none /mnt/a\040b\134c hugetlbfs rw 0 0").path,
            PathBuf::from(r"/mnt/a b\c")
        );
        assert_eq!(
            line(r"none /mnt/\04 hugetlbfs rw 0 0").path,
            PathBuf::from(r"/mnt/\04")
        );
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in "[ -~\t\n]{1,40}") {
            let escaped: String = path
                .chars()
                .map(|c| if " \t\n\\".contains(c) { format!("\\{:03o}", u32::from(c)) } else { c.to_string() })
                .collect();
            prop_assert_eq!(unescape(&escaped), OsString::from(&path));
        }

        #[test]
        fn no_line_makes_the_parser_fall(text in ".*") {
            let _ = parse(&text, PageSize::from_bytes(2 << 20).unwrap());
        }
    }
}
