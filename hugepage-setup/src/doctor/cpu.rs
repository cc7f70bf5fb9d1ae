//! CPU flags that DPDK and the suite use, and the CPUs that workers can have.

use super::host_facts::{Cpus, HostFacts};
use super::report::Finding;
use super::vfio::boot_with;
use crate::host::format_cpu_list;

/// What Debian builds DPDK with for amd64: without it, EAL ends at once.
const NEEDED: &str = "sse4_2";
/// What drivers with vectors, the FIB and ESP run faster with.
const USEFUL: [&str; 5] = ["avx2", "avx512f", "aes", "vaes", "vpclmulqdq"];
/// A time stamp counter that is the same on all CPUs and never stops, which all clocks of the suite are made from.
const INVARIANT_TSC: [&str; 2] = ["constant_tsc", "nonstop_tsc"];
/// Fewer CPUs than these are needed by the rest of the host, and none is worth isolating.
const ENOUGH_TO_ISOLATE: usize = 4;

/// The findings about both.
pub(super) fn findings(facts: &HostFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Other architectures have no line of that name, and DPDK needs nothing beyond their baseline.
    if !facts.cpu_flags.is_empty() {
        findings.extend([flags(facts), tsc(facts)]);
    }
    findings.extend(lcores(&facts.cpus));
    findings
}

/// Those of the flags that the CPU lacks.
fn missing<'a>(facts: &HostFacts, flags: &[&'a str]) -> Vec<&'a str> {
    let lacks = |flag: &&str| !facts.cpu_flags.iter().any(|has| has == flag);
    flags.iter().copied().filter(lacks).collect()
}

fn flags(facts: &HostFacts) -> Finding {
    let hint = if facts.virtual_machine {
        "; give the virtual machine the CPU model of its host"
    } else {
        ""
    };
    if !missing(facts, &[NEEDED]).is_empty() {
        let sentence = format!("the CPU lacks {NEEDED}, and Debian's DPDK does not start without it{hint}");
        let finding = Finding::problem("cpu_flags", sentence);
        return if facts.virtual_machine {
            finding
                .run("virt-xml DOMAIN --edit --cpu host-passthrough    # on the host of the virtual machine")
        } else {
            finding
        };
    }
    let lacks = missing(facts, &USEFUL);
    if lacks.is_empty() {
        Finding::ok(
            "cpu_flags",
            format!("the CPU has {NEEDED}, {}", USEFUL.join(", ")),
        )
    } else {
        let sentence = format!(
            "the CPU lacks {}: drivers or ESP are slower than they could be{hint}",
            lacks.join(", ")
        );
        Finding::note("cpu_flags", sentence)
    }
}

fn tsc(facts: &HostFacts) -> Finding {
    let lacks = missing(facts, &INVARIANT_TSC);
    if lacks.is_empty() {
        return Finding::ok("tsc", "the time stamp counter is invariant");
    }
    let sentence = format!(
        "the time stamp counter is not invariant (the CPU lacks {}): timers and timestamps of captures may drift",
        lacks.join(", ")
    );
    Finding::note("tsc", sentence)
}

fn lcores(cpus: &Cpus) -> Vec<Finding> {
    let list = |cpus: &[usize]| {
        if cpus.is_empty() {
            "none".to_owned()
        } else {
            format_cpu_list(cpus)
        }
    };
    let online = list(&cpus.online);
    let nodes: Vec<_> = cpus
        .nodes
        .iter()
        .map(|node| format!("node {} has {}", node.node, list(&node.cpus)))
        .collect();
    let cores: Vec<_> = cpus.siblings.iter().map(|core| list(core)).collect();
    let shared = if cores.is_empty() {
        "no two share a core".to_owned()
    } else {
        format!("these share a core: {}", cores.join(" and "))
    };
    let mut findings = vec![Finding::ok(
        "lcores",
        format!(
            "CPUs online: {online}; isolated: {}; {}; {shared}",
            list(&cpus.isolated),
            nodes.join(", ")
        ),
    )];
    if cpus.online.len() == 1 {
        let sentence =
            "there is one CPU: the worker and all else share it, and idle = \"busy\" is out of the question";
        findings.push(Finding::note("lcores", sentence));
    }
    let barred: Vec<_> = cpus
        .online
        .iter()
        .filter(|cpu| !cpus.allowed.contains(cpu) && !cpus.isolated.contains(cpu))
        .copied()
        .collect();
    if !barred.is_empty() {
        let sentence = format!(
            "this process may not run on the CPUs {}, and a primary that is started from here may not either, unless its \
             lcores name them",
            list(&barred)
        );
        findings.push(Finding::note("lcores", sentence).run(format!("taskset -pc {online} $$")));
    }
    if cpus.isolated.is_empty() && cpus.online.len() >= ENOUGH_TO_ISOLATE {
        let core = list(&cpus.core_of(cpus.worker(None)));
        let sentence =
            "no CPU is isolated: the scheduler takes time from workers, which matters with idle = \"busy\"";
        findings.push(Finding::note("lcores", sentence).run(boot_with(&format!("isolcpus={core}"))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn with_flags(flags: &str) -> HostFacts {
        HostFacts {
            cpu_flags: flags.split(' ').map(str::to_owned).collect(),
            ..HostFacts::default()
        }
    }

    #[test]
    fn a_cpu_that_debians_dpdk_does_not_start_on_is_a_problem() {
        let mut facts = with_flags("avx2 hypervisor");
        assert_eq!(flags(&facts).level, Level::Problem);
        facts.virtual_machine = true;
        assert!(flags(&facts).commands[0].contains("host-passthrough"));
        let without = flags(&with_flags("sse4_2 avx2 aes"));
        assert_eq!(without.level, Level::Note);
        assert!(
            without.finding.contains("avx512f, vaes") && !without.finding.contains("avx2"),
            "{without:?}"
        );
        assert_eq!(
            flags(&with_flags("sse4_2 avx2 avx512f aes vaes vpclmulqdq")).level,
            Level::Ok
        );
    }

    #[test]
    fn another_architecture_has_no_flags_to_miss() {
        assert!(
            findings(&HostFacts::default())
                .iter()
                .all(|finding| finding.check == "lcores")
        );
    }

    #[test]
    fn a_counter_that_stops_is_told() {
        assert_eq!(tsc(&with_flags("constant_tsc nonstop_tsc")).level, Level::Ok);
        assert!(tsc(&with_flags("constant_tsc")).finding.contains("nonstop_tsc"));
    }

    #[test]
    fn cpus_that_cannot_be_used_and_cpus_worth_isolating_are_told() {
        let cpus = Cpus {
            online: vec![0, 1, 2, 3],
            allowed: vec![0, 1, 2],
            siblings: vec![vec![0, 2], vec![1, 3]],
            ..Cpus::default()
        };
        let findings = lcores(&cpus);
        assert!(
            findings[0].finding.contains("0,2 and 1,3"),
            "{}",
            findings[0].finding
        );
        assert_eq!(findings[1].commands, ["taskset -pc 0-3 $$"]);
        assert!(findings[2].commands[0].contains("isolcpus=0,2"), "{findings:?}");
        let small = Cpus {
            online: vec![0],
            allowed: vec![0],
            ..Cpus::default()
        };
        assert!(lcores(&small)[1].finding.contains("one CPU"));
    }
}
