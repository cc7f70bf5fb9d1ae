//! EAL arguments that an operator may not give, because the suite gives them itself.

/// An option of EAL that follows from the configuration.
struct Owned {
    long: &'static str,
    short: Option<char>,
    instead: &'static str,
}

const fn owned(long: &'static str, short: Option<char>, instead: &'static str) -> Owned {
    Owned { long, short, instead }
}

const CPUS: &str = "use lcores and control_cpus in [workers]";
const MEMORY: &str = "use memory_mb in [eal]";
const HUGEPAGES: &str = "it follows from stock_tools in [eal]";
const TELEMETRY: &str = "it is always there, for root";
const DEVICES: &str = "devices are those of [[interface]]";

const OWNED: [Owned; 23] = [
    owned("file-prefix", None, "use file_prefix in [instance]"),
    owned("proc-type", None, "this is always a primary"),
    owned("lcores", Some('l'), CPUS),
    owned("coremask", Some('c'), CPUS),
    owned("main-lcore", None, CPUS),
    owned("service-coremask", Some('s'), CPUS),
    owned("service-corelist", Some('S'), CPUS),
    owned("memory", Some('m'), MEMORY),
    owned("socket-mem", None, MEMORY),
    owned("socket-limit", None, MEMORY),
    owned("in-memory", None, HUGEPAGES),
    owned("no-huge", None, HUGEPAGES),
    owned("no-shconf", None, HUGEPAGES),
    owned("huge-unlink", None, HUGEPAGES),
    owned("legacy-mem", None, HUGEPAGES),
    owned("telemetry", None, TELEMETRY),
    owned("no-telemetry", None, TELEMETRY),
    owned("huge-dir", None, "use huge_dir in [eal]"),
    owned("no-pci", None, DEVICES),
    owned("allow", Some('a'), DEVICES),
    owned("block", Some('b'), DEVICES),
    owned("vdev", None, "use [[interface]]"),
    owned("help", Some('h'), "it would end the primary"),
];

/// Why the argument is refused: what to do instead. `None` for an argument that the suite leaves to the operator.
///
/// EAL parses with getopt_long(3), which takes an option by any unambiguous beginning of its name.
pub(super) fn refusal(argument: &str) -> Option<String> {
    let owned = match argument.strip_prefix("--") {
        Some(long) => {
            let name = long.split('=').next().unwrap_or(long);
            OWNED
                .iter()
                .find(|owned| !name.is_empty() && owned.long.starts_with(name))
        }
        // `-v` takes no value, so that another letter may follow it in the same argument.
        None => {
            let letter = argument
                .strip_prefix('-')?
                .trim_start_matches('v')
                .chars()
                .next()?;
            OWNED.iter().find(|owned| owned.short == Some(letter))
        }
    }?;
    Some(format!(
        "the EAL argument '{argument}' is not yours to give: {}",
        owned.instead
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_suite_gives_itself_is_refused_in_every_spelling() {
        for argument in [
            "--file-prefix",
            "--file-prefix=x",
            "--file-pre=x",
            "--proc-type=secondary",
            "-l",
            "-l0,1",
            "-c1",
            "--lcores=1@0",
            "--main-lcore",
            "-m",
            "-m512",
            "--socket-mem=1",
            "--socket-limit",
            "--in-memory",
            "--no-huge",
            "--huge-unlink=always",
            "--huge-dir",
            "--no-pci",
            "-a0000:01:00.0",
            "-b",
            "-vl0",
        ] {
            assert!(refusal(argument).is_some(), "{argument}");
        }
        assert!(refusal("--vdev=net_null0").unwrap().contains("[[interface]]"));
        assert!(refusal("-m").unwrap().contains("memory_mb"));
    }

    #[test]
    fn what_is_left_to_the_operator_passes() {
        for argument in [
            "--log-level=lib.eal:debug",
            "--iova-mode=va",
            "-n",
            "4",
            "-v",
            "-d",
            "--base-virtaddr",
            "--",
            "-",
        ] {
            assert_eq!(refusal(argument), None, "{argument}");
        }
    }
}
