//! `show`: the pools of huge pages, who uses them, where they are mounted and what survives a reboot.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use control::instance::{InstanceName, RunDir};
use serde::Serialize;

use crate::error::Error;
use crate::host::{Host, entries};
use crate::mounts;
use crate::output::{say, table};
use crate::persist::Settings;
use crate::pool::{Counts, Pool};
use crate::size::Bytes;
use crate::users::{User, Users};

/// One size of huge pages.
#[derive(Debug, Serialize)]
struct SizeReport {
    size: String,
    page_bytes: u64,
    default: bool,
    total: u64,
    free: u64,
    reserved: u64,
    surplus: u64,
    nodes: Vec<NodeReport>,
    users: Vec<UserReport>,
    mounts: Vec<MountReport>,
    persisted: Vec<PersistedReport>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    node: u32,
    total: u64,
    free: u64,
    surplus: u64,
}

#[derive(Debug, Serialize)]
struct UserReport {
    instance: Option<InstanceName>,
    process: String,
    pid: u32,
    pages: u64,
    nodes: Vec<UserNodeReport>,
}

#[derive(Debug, Serialize)]
struct UserNodeReport {
    node: u32,
    pages: u64,
}

#[derive(Debug, Serialize)]
struct MountReport {
    path: PathBuf,
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct PersistedReport {
    node: Option<u32>,
    pages: u64,
    file: PathBuf,
}

/// Prints the report, as tables or as JSON.
pub(crate) fn run(host: &Host, run_dir: &RunDir, json: bool) -> Result<(), Error> {
    let users = Users::scan(host, run_dir)?;
    let sizes = report(host, &users)?;
    if json {
        say!("{}", serde_json::to_string_pretty(&sizes).unwrap_or_default());
    } else {
        say!("{}", tables(&sizes).trim_end());
    }
    if users.hidden > 0 {
        eprintln!(
            "{} more processes use huge pages, and only root may see which: run the same command with sudo",
            users.hidden
        );
    }
    Ok(())
}

fn report(host: &Host, users: &Users) -> Result<Vec<SizeReport>, Error> {
    let default = host.default_page_size()?;
    let settings = Settings::load(host)?;
    let mounts = mounts::huge(host)?;
    let mut reports = Vec::new();
    for size in Pool::sizes(host)? {
        let Counts {
            total,
            free,
            reserved,
            surplus,
        } = Pool::find(host, size, None)?.counts()?;
        let mut nodes = Vec::new();
        for pool in Pool::nodes(host, size)? {
            let Counts {
                total, free, surplus, ..
            } = pool.counts()?;
            nodes.extend(pool.node.map(|node| NodeReport {
                node,
                total,
                free,
                surplus,
            }));
        }
        let of_user = |user: &User| {
            let pages = user.pages(size, None);
            let parts = user.mapped.iter().filter(|((of, _), _)| *of == size);
            (pages > 0).then(|| UserReport {
                instance: user.instance.clone(),
                process: user.name.clone(),
                pid: user.pid,
                pages,
                nodes: parts
                    .map(|((_, node), pages)| UserNodeReport {
                        node: *node,
                        pages: *pages,
                    })
                    .collect(),
            })
        };
        let persisted = settings.all().iter().filter(|setting| setting.size == size);
        reports.push(SizeReport {
            size: size.to_string(),
            page_bytes: size.bytes(),
            default: size == default,
            total,
            free,
            reserved: reserved.unwrap_or(0),
            surplus,
            nodes,
            users: users.list.iter().filter_map(of_user).collect(),
            mounts: mounts
                .iter()
                .filter(|mount| mount.page_size == Some(size))
                .map(|mount| mount_report(&mount.path))
                .collect(),
            persisted: persisted
                .map(|setting| PersistedReport {
                    node: setting.node,
                    pages: setting.pages,
                    file: settings.file_of(size, setting.node).to_path_buf(),
                })
                .collect(),
        });
    }
    Ok(reports)
}

/// What is in a mount; a directory that may not be read shows as empty.
fn mount_report(path: &std::path::Path) -> MountReport {
    let files: Vec<_> = entries(path)
        .unwrap_or_default()
        .iter()
        .filter_map(|file| fs::symlink_metadata(file).ok())
        .filter(fs::Metadata::is_file)
        .collect();
    MountReport {
        path: path.to_path_buf(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.blocks() * 512).sum(),
    }
}

fn tables(sizes: &[SizeReport]) -> String {
    let mut pools = table(&["SIZE", "NODE", "TOTAL", "FREE", "RESERVED", "SURPLUS"]);
    let mut users = table(&["SIZE", "NODE", "PAGES", "INSTANCE", "PROCESS", "PID"]);
    let mut mounts = table(&["SIZE", "MOUNTED AT", "FILES", "HOLDING"]);
    let mut persisted = table(&["SIZE", "NODE", "AT BOOT", "BY"]);
    for size in sizes {
        let name = &size.size;
        pools.add_row([
            name,
            "all",
            &size.total.to_string(),
            &size.free.to_string(),
            &size.reserved.to_string(),
            &size.surplus.to_string(),
        ]);
        for node in &size.nodes {
            pools.add_row([
                name,
                &node.node.to_string(),
                &node.total.to_string(),
                &node.free.to_string(),
                "",
                &node.surplus.to_string(),
            ]);
        }
        for user in &size.users {
            let instance = user.instance.as_ref().map_or("-", InstanceName::as_str);
            for part in &user.nodes {
                users.add_row([
                    name,
                    &part.node.to_string(),
                    &part.pages.to_string(),
                    instance,
                    &user.process,
                    &user.pid.to_string(),
                ]);
            }
        }
        for mount in &size.mounts {
            mounts.add_row([
                name,
                &mount.path.display().to_string(),
                &mount.files.to_string(),
                &Bytes(mount.bytes).to_string(),
            ]);
        }
        for setting in &size.persisted {
            let node = setting
                .node
                .map_or_else(|| "all".to_owned(), |node| node.to_string());
            persisted.add_row([
                name,
                &node,
                &setting.pages.to_string(),
                &setting.file.display().to_string(),
            ]);
        }
    }
    let filled = [pools, users, mounts, persisted]
        .into_iter()
        .filter(|table| table.row_count() > 0);
    filled
        .map(|table| format!("{}\n", table.trim_fmt()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::Setting;
    use crate::pool::make_pool;
    use crate::users::make_process;

    fn place() -> (tempfile::TempDir, Host, RunDir) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let mount = root.path().join("huge");
        fs::create_dir_all(&mount).unwrap();
        fs::write(mount.join("rtemap_0"), [1; 5000]).unwrap();
        fs::create_dir_all(&host.proc).unwrap();
        fs::write(host.proc.join("meminfo"), "Hugepagesize: 2048 kB\n").unwrap();
        fs::write(
            host.proc.join("mounts"),
            format!("none {} hugetlbfs rw,pagesize=2M 0 0\n", mount.display()),
        )
        .unwrap();
        let counts = Counts {
            total: 64,
            free: 60,
            reserved: Some(1),
            surplus: 0,
        };
        make_pool(&host, "2M".parse().unwrap(), None, counts);
        make_pool(
            &host,
            "2M".parse().unwrap(),
            Some(0),
            Counts {
                reserved: None,
                ..counts
            },
        );
        make_process(
            &host,
            77,
            "qemu",
            "1 default huge dirty=4 N0=4 kernelpagesize_kB=2048\n",
        );
        let mut settings = Settings::load(&host).unwrap();
        settings.set(
            Setting {
                size: "2M".parse().unwrap(),
                node: None,
                pages: 64,
            },
            &[],
        );
        settings.store().unwrap();
        let run_dir = RunDir::new(&root.path().join("run"));
        (root, host, run_dir)
    }

    #[test]
    fn json_is_a_list_of_sizes_with_stable_keys() {
        let (_root, host, run_dir) = place();
        let sizes = report(&host, &Users::scan(&host, &run_dir).unwrap()).unwrap();
        let json: serde_json::Value = serde_json::to_value(&sizes).unwrap();
        let size = &json[0];
        assert_eq!(size["size"], "2M");
        assert_eq!(
            (&size["total"], &size["free"], &size["reserved"]),
            (&64.into(), &60.into(), &1.into())
        );
        assert_eq!(size["nodes"][0]["free"], 60);
        assert_eq!(
            (&size["users"][0]["process"], &size["users"][0]["pages"]),
            (&"qemu".into(), &4.into())
        );
        assert!(size["users"][0]["instance"].is_null());
        assert_eq!(size["mounts"][0]["files"], 1);
        assert_eq!(size["persisted"][0]["pages"], 64);
        let keys: Vec<_> = size.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "size",
            "page_bytes",
            "default",
            "total",
            "free",
            "reserved",
            "surplus",
            "nodes",
            "users",
            "mounts",
            "persisted",
        ];
        expected.sort_unstable();
        assert_eq!(keys.len(), expected.len());
        assert!(keys.iter().all(|key| expected.contains(key)), "{keys:?}");
    }

    #[test]
    fn tables_show_the_same_and_leave_out_what_is_empty() {
        let (_root, host, run_dir) = place();
        let text = tables(&report(&host, &Users::scan(&host, &run_dir).unwrap()).unwrap());
        for part in ["TOTAL", "qemu", "77", "MOUNTED AT", "AT BOOT"] {
            assert!(text.contains(part), "no '{part}' in:\n{text}");
        }
        fs::remove_dir_all(host.proc.join("77")).unwrap();
        let text = tables(&report(&host, &Users::scan(&host, &run_dir).unwrap()).unwrap());
        assert!(!text.contains("PROCESS"), "{text}");
    }
}
