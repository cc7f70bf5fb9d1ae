//! What of Debian the guest is made of: a kernel with the modules that give devices to DPDK, and busybox, from packages that were unpacked
//! and not installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Wait, run};

use super::{Image, LIMIT};

/// The environment variable that names the folder in which the packages are unpacked.
const FOLDER_VARIABLE: &str = "TOLLGATE_VM";

/// Files of the packages.
pub struct Debian {
    /// The kernel.
    pub kernel: PathBuf,
    /// busybox, linked statically.
    pub busybox: PathBuf,
    modules: Vec<PathBuf>,
    built_in: Vec<String>,
}

impl Debian {
    /// Those in the folder that `cargo xtask test --vm` names.
    pub fn unpacked() -> Self {
        let folder = env::var_os(FOLDER_VARIABLE).unwrap_or_else(|| {
            panic!("{FOLDER_VARIABLE} names no folder: run this by `cargo xtask test --vm`")
        });
        let mut files = Vec::new();
        list(Path::new(&folder), &mut files);
        let find = |what: &str, matches: fn(&Path) -> bool| {
            let found = files.iter().find(|path| matches(path));
            found.unwrap_or_else(|| panic!("no {what} in {folder:?}")).clone()
        };
        let built_in =
            fs::read_to_string(find("modules.builtin", |path| path.ends_with("modules.builtin"))).unwrap();
        Self {
            built_in: built_in
                .lines()
                .map(|path| module_name(Path::new(path)))
                .collect(),
            kernel: find("kernel", |path| file_name(path).starts_with("vmlinuz-")),
            busybox: find("busybox", |path| path.ends_with("bin/busybox")),
            modules: files
                .into_iter()
                .filter(|path| file_name(path).contains(".ko"))
                .collect(),
        }
    }

    /// Puts modules and those that they need into `image`, in the folder /modules, named in the order in which they are to be inserted.
    /// What this kernel has built in is passed over.
    pub fn add_modules(&self, names: &[&str], image: &mut Image) {
        let mut order = Vec::new();
        for name in names {
            self.order(name, &mut order);
        }
        for (number, (name, contents)) in order.into_iter().enumerate() {
            image.file(&format!("/modules/{number:03}-{name}.ko"), 0o644, contents);
        }
    }

    fn order(&self, name: &str, order: &mut Vec<(String, Vec<u8>)>) {
        if self.built_in.iter().any(|present| present == name)
            || order.iter().any(|(present, _)| present == name)
        {
            return;
        }
        let path = self.modules.iter().find(|path| module_name(path) == name);
        let contents = read(path.unwrap_or_else(|| panic!("the kernel has no module {name}")));
        for needed in needed_by(&contents) {
            self.order(&needed, order);
        }
        order.push((name.to_owned(), contents));
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            list(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// The name as the kernel has it: files are named with dashes or underscores as it pleases.
fn module_name(path: &Path) -> String {
    let name = file_name(path);
    name.split_once(".ko")
        .map_or(name, |(stem, _)| stem)
        .replace('-', "_")
}

/// The module, which Debian compresses since 13.
fn read(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(path).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(file_name(path));
    fs::copy(path, &copy).unwrap();
    let mut command = Command::new("xz");
    command.arg("--decompress").arg(&copy);
    run(command, Wait::Interruptible(LIMIT))
        .unwrap()
        .success()
        .unwrap();
    fs::read(copy.with_extension("")).unwrap()
}

/// The modules that a module says it needs: `depends=` among the texts in it, each of which ends with a zero.
fn needed_by(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|bytes| bytes == key) else {
        return Vec::new();
    };
    let text = module[at + key.len()..].split(|&byte| byte == 0).next().unwrap();
    let text = String::from_utf8_lossy(text);
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[test]
fn what_a_module_needs_is_read_from_its_own_words() {
    assert_eq!(
        needed_by(b"\x7fELF\0license=GPL\0depends=vfio-pci-core,vfio\0name=vfio_pci\0"),
        ["vfio_pci_core", "vfio"]
    );
    assert!(needed_by(b"\x7fELF\0depends=\0name=uio\0").is_empty());
    assert_eq!(module_name(Path::new("/m/vfio-pci.ko.xz")), "vfio_pci");
}
