//! Configuration files: read as a whole, or refused with a place in the file and a sentence for each fault.

use std::path::Path;

use primary::config::machine::Machine;
use primary::config::{Config, Overrides};
use primary::reload;

/// The examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    files.sort_by_key(|file| file.file_name());
    let mut seeds: Vec<_> = files
        .iter()
        .filter_map(|file| std::fs::read(file.path()).ok())
        .collect();
    seeds.push(
        b"[instance]\nname = \"blue\"\n[log]\nlevel = \"info,arp=debug\"\n[eal]\nmemory_mb = 256\nargs = [\"--log-level=8\"]\n\
          [limits]\nroutes4 = 10\n[workers]\nlcores = [1]\ncontrol_cpus = [0]\nidle = \"busy\"\n[[interface]]\nname = \"wan\"\n\
          device = \"net_null0\"\naddresses = [\"192.168.10.1/24\", \"2001:db8:10::1/64\"]\nmtu = 1500\n[[route]]\n\
          prefix = \"192.168.3.0/24\"\nvia = \"192.168.10.2\"\n[[neighbor]]\naddress = \"192.168.10.2\"\n\
          mac = \"02:00:00:00:10:02\"\ninterface = \"wan\"\n[[punt]]\nclass = \"ike\"\nfail = \"closed\"\nrate = 1\nburst = 1\n"
            .to_vec(),
    );
    seeds
}

/// Reads a file.
pub fn body(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let machine = Machine {
        online: vec![0, 1, 2, 3],
        allowed: vec![0, 1, 2, 3],
        nodes: vec![(0, vec![0, 1]), (1, vec![2, 3])],
    };
    match Config::parse(text, Path::new("fuzz.toml"), &Overrides::default(), &machine) {
        Ok(config) => {
            assert!(!config.workers.lcores.is_empty() && !config.instance.name.as_str().is_empty());
            // What is written of it is read as the same.
            let written = config.render(&Overrides::default());
            let again = Config::parse(&written, Path::new("fuzz.toml"), &Overrides::default(), &machine);
            let again = again.unwrap_or_else(|errors| panic!("{errors}:\n{written}"));
            assert_eq!(reload::check_restart(&config, &again), Ok(()), "{written}");
            let changes = reload::plan(&config, &again, &[], reload::is_by_hand);
            assert!(changes.is_empty(), "{changes:?}:\n{written}");
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty(), "refused without a reason");
            for problem in errors.problems() {
                let problem = problem.to_string();
                assert!(problem.starts_with("fuzz.toml:"), "{problem}");
            }
        }
    }
}
