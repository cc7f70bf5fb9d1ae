//! A pool of huge pages as sysfs shows it: of one size, of the host or of one node.

use std::fs;
use std::path::PathBuf;

use crate::error::Error;
use crate::host::{Host, entries, read};
use crate::size::PageSize;

/// One pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    directory: PathBuf,
    /// Size of its pages.
    pub(crate) size: PageSize,
    /// Its node; `None` for all nodes together.
    pub(crate) node: Option<u32>,
}

/// Counts of pages at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All pages.
    pub(crate) total: u64,
    /// Those that hold nothing.
    pub(crate) free: u64,
    /// Free ones that are promised to mappings which have not touched them yet; the kernel counts them for the host only.
    pub(crate) reserved: Option<u64>,
    /// Pages that go back to the kernel when their user lets go of them.
    pub(crate) surplus: u64,
}

impl Counts {
    /// The pages that stay: what was asked of the kernel.
    pub(crate) fn persistent(&self) -> u64 {
        self.total.saturating_sub(self.surplus)
    }

    /// Free pages that nobody was promised.
    pub(crate) fn unclaimed(&self) -> u64 {
        self.free.saturating_sub(self.reserved.unwrap_or(0))
    }
}

impl Pool {
    /// The pool of this size, of the host or of a node.
    pub(crate) fn find(host: &Host, size: PageSize, node: Option<u32>) -> Result<Self, Error> {
        let known = Self::sizes(host)?;
        if !known.contains(&size) {
            return Err(Error::Size { size, known });
        }
        match node {
            None => Ok(Self {
                directory: host_pools(host).join(size.sysfs_name()),
                size,
                node: None,
            }),
            Some(number) => {
                let nodes = Self::nodes(host, size)?;
                let known = nodes.iter().filter_map(|pool| pool.node).collect();
                nodes
                    .into_iter()
                    .find(|pool| pool.node == node)
                    .ok_or(Error::Node { node: number, known })
            }
        }
    }

    /// The pools of this size of all nodes.
    pub(crate) fn nodes(host: &Host, size: PageSize) -> Result<Vec<Self>, Error> {
        let mut pools = Vec::new();
        for path in entries(&host.sys.join("devices/system/node"))? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let number = name.strip_prefix("node").and_then(|number| number.parse().ok());
            let directory = path.join("hugepages").join(size.sysfs_name());
            if let (Some(number), true) = (number, directory.is_dir()) {
                pools.push(Self {
                    directory,
                    size,
                    node: Some(number),
                });
            }
        }
        pools.sort_by_key(|pool| pool.node);
        Ok(pools)
    }

    /// The sizes that this kernel and CPU have.
    pub(crate) fn sizes(host: &Host) -> Result<Vec<PageSize>, Error> {
        let path = host_pools(host);
        let mut sizes: Vec<_> = entries(&path)?
            .iter()
            .filter_map(|entry| PageSize::from_sysfs_name(entry.file_name()?.to_str()?))
            .collect();
        sizes.sort();
        if sizes.is_empty() {
            Err(Error::NoHugepages { path })
        } else {
            Ok(sizes)
        }
    }

    /// What the pool holds now.
    pub(crate) fn counts(&self) -> Result<Counts, Error> {
        Ok(Counts {
            total: self.count("nr_hugepages")?,
            free: self.count("free_hugepages")?,
            reserved: if self.node.is_none() {
                Some(self.count("resv_hugepages")?)
            } else {
                None
            },
            surplus: self.count("surplus_hugepages")?,
        })
    }

    /// Asks the kernel for `pages` in all. It may give fewer and say nothing.
    pub(crate) fn ask_for(&self, pages: u64) -> Result<(), Error> {
        let path = self.directory.join("nr_hugepages");
        fs::write(&path, pages.to_string()).map_err(Error::io("write the number of huge pages to", &path))
    }

    /// "host-wide" or "on node 1".
    pub(crate) fn place(&self) -> String {
        place(self.node)
    }

    fn count(&self, name: &str) -> Result<u64, Error> {
        let path = self.directory.join(name);
        read(&path)?.trim().parse().map_err(|_| Error::Count { path })
    }
}

/// "host-wide" or "on node 1".
pub(crate) fn place(node: Option<u32>) -> String {
    node.map_or_else(|| "host-wide".to_owned(), |node| format!("on node {node}"))
}

fn host_pools(host: &Host) -> PathBuf {
    host.sys.join("kernel/mm/hugepages")
}

/// Makes a pool in the tree of a test.
#[cfg(test)]
pub(crate) fn make_pool(host: &Host, size: PageSize, node: Option<u32>, counts: Counts) -> Pool {
    let parent = match node {
        None => host_pools(host),
        Some(node) => host.sys.join(format!("devices/system/node/node{node}/hugepages")),
    };
    let directory = parent.join(size.sysfs_name());
    fs::create_dir_all(&directory).unwrap();
    let files = [
        ("nr_hugepages", Some(counts.total)),
        ("free_hugepages", Some(counts.free)),
        ("resv_hugepages", counts.reserved),
        ("surplus_hugepages", Some(counts.surplus)),
    ];
    for (name, count) in files {
        if let Some(count) = count {
            fs::write(directory.join(name), format!("{count}\n")).unwrap();
        }
    }
    Pool {
        directory,
        size,
        node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> PageSize {
        text.parse().unwrap()
    }

    #[test]
    fn pools_are_found_by_size_and_node() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let counts = Counts {
            total: 10,
            free: 8,
            reserved: Some(3),
            surplus: 1,
        };
        make_pool(&host, size("2M"), None, counts);
        make_pool(
            &host,
            size("2M"),
            Some(10),
            Counts {
                reserved: None,
                ..counts
            },
        );
        make_pool(
            &host,
            size("2M"),
            Some(2),
            Counts {
                reserved: None,
                total: 4,
                ..counts
            },
        );
        let found = Pool::find(&host, size("2M"), None).unwrap().counts().unwrap();
        assert_eq!(found, counts);
        assert_eq!((found.persistent(), found.unclaimed()), (9, 5));
        assert_eq!(
            Pool::find(&host, size("2M"), Some(2))
                .unwrap()
                .counts()
                .unwrap()
                .total,
            4
        );
        let nodes: Vec<_> = Pool::nodes(&host, size("2M"))
            .unwrap()
            .iter()
            .filter_map(|pool| pool.node)
            .collect();
        assert_eq!(nodes, [2, 10]);
    }

    #[test]
    fn a_size_or_node_that_is_not_there_is_named_with_those_that_are() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        assert!(matches!(
            Pool::find(&host, size("2M"), None),
            Err(Error::NoHugepages { .. })
        ));
        make_pool(
            &host,
            size("2M"),
            None,
            Counts {
                reserved: Some(0),
                ..Counts::default()
            },
        );
        make_pool(&host, size("2M"), Some(0), Counts::default());
        let message = Pool::find(&host, size("1G"), None).unwrap_err().to_string();
        assert!(message.contains("1G") && message.contains("2M"), "{message}");
        let message = Pool::find(&host, size("2M"), Some(7)).unwrap_err().to_string();
        assert!(message.contains("node 7") && message.contains(": 0"), "{message}");
    }
}
