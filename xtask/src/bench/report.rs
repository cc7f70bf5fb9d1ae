//! The figures, told: on the terminal, as Markdown, as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::figures::{Finding, Section, Series, Spread};

/// What the figures hold for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Circumstances {
    /// Of the suite and of DPDK.
    pub(super) version: String,
    /// Of the checkout; with a `+` behind it where files differ from it.
    pub(super) commit: String,
    pub(super) cpu: String,
    pub(super) kernel: String,
    pub(super) devices: String,
    /// Without frame check sequence.
    pub(super) frame_bytes: usize,
    /// Turns of each program.
    pub(super) rounds: usize,
    /// How long each turn is measured.
    pub(super) seconds: f64,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) circumstances: Circumstances,
    pub(super) sections: Vec<Section>,
}

impl Report {
    /// As columns for a terminal.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let _ = writeln!(text, "\n{}", section.title);
            for series in &section.series {
                let _ = writeln!(text, "  {:<56} {}", series.name, told(series));
            }
            for finding in &section.findings {
                let _ = writeln!(text, "  {:<56} {}", finding.name, judged(finding));
            }
            for remark in &section.remarks {
                let _ = writeln!(text, "  {remark}");
            }
        }
        text + "\n" + &self.conditions()
    }

    /// As a Markdown document.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from("# Bench\n");
        for section in &self.sections {
            let _ = writeln!(text, "\n## {}\n", section.title);
            if !section.series.is_empty() {
                let _ = writeln!(text, "| measured | median | least | most |\n|---|---|---|---|");
            }
            for series in &section.series {
                let Spread { median, min, max } = series.spread();
                let unit = |value| series.unit.text(value);
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} |",
                    series.name,
                    unit(median),
                    unit(min),
                    unit(max)
                );
            }
            if !section.findings.is_empty() {
                let _ = writeln!(text, "\n| what counts | figure | asked | |\n|---|---|---|---|");
            }
            for finding in &section.findings {
                let (asked, verdict) = finding.bound.map_or_else(Default::default, |bound| {
                    (bound.text(finding.unit), verdict(bound.holds(finding.value)))
                });
                let figure = finding.unit.text(finding.value);
                let _ = writeln!(text, "| {} | {figure} | {asked} | {verdict} |", finding.name);
            }
            for remark in &section.remarks {
                let _ = writeln!(text, "\n{remark}");
            }
        }
        text + "\n" + &self.conditions()
    }

    fn conditions(&self) -> String {
        let Circumstances {
            version,
            commit,
            cpu,
            kernel,
            devices,
            frame_bytes,
            rounds,
            seconds,
        } = &self.circumstances;
        format!(
            "{devices}, frames of {} bytes with FCS, burst 32, one core, {rounds} rounds of {seconds} s each\n\
             {version}, commit {commit}, {cpu}, Linux {kernel}\n",
            frame_bytes + 4,
        )
    }

    /// All of it, each round as well.
    pub(super) fn json(&self) -> String {
        let mut value = serde_json::json!(self);
        for (section, shown) in self.sections.iter().zip(values(&mut value["sections"])) {
            for (series, shown) in section.series.iter().zip(values(&mut shown["series"])) {
                shown["spread"] = serde_json::json!(series.spread());
            }
            for (finding, shown) in section.findings.iter().zip(values(&mut shown["findings"])) {
                shown["holds"] = serde_json::json!(finding.bound.map(|bound| bound.holds(finding.value)));
            }
        }
        format!("{value:#}\n")
    }
}

fn values(list: &mut serde_json::Value) -> impl Iterator<Item = &mut serde_json::Value> {
    list.as_array_mut().into_iter().flatten()
}

fn told(series: &Series) -> String {
    let Spread { median, min, max } = series.spread();
    let unit = |value| series.unit.text(value);
    match series.values.len() {
        1 => unit(median),
        _ => format!("{}   ({} .. {})", unit(median), unit(min), unit(max)),
    }
}

fn judged(finding: &Finding) -> String {
    let figure = finding.unit.text(finding.value);
    match finding.bound {
        Some(bound) => format!(
            "{figure}   ({}: {})",
            bound.text(finding.unit),
            verdict(bound.holds(finding.value))
        ),
        None => figure,
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "missed" }
}

/// The model in the text of /proc/cpuinfo.
pub(super) fn cpu_model(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figures::{Bound, Unit};
    use super::*;

    pub(in super::super) fn report() -> Report {
        let mut section = Section::new("Forwarding of one worker");
        for (ours, theirs) in [(30e6, 40e6), (10e6, 50e6), (32e6, 10e6)] {
            section.record("tollgate", Unit::PacketsPerSecond, ours);
            section.record("testpmd mac", Unit::PacketsPerSecond, theirs);
        }
        section.compare("tollgate", "testpmd mac", Some(Bound::AtLeast(0.65)));
        section.conclude("of l3fwd", Unit::Ratio, 0.9, Some(Bound::AtLeast(1.0)));
        section.remarks.push("Nothing else was measured.".to_owned());
        Report {
            circumstances: Circumstances {
                version: "tollgate-primary 0.1.0 (DPDK 22.11.11)".to_owned(),
                commit: "0123456789ab+".to_owned(),
                cpu: "a CPU".to_owned(),
                kernel: "6.1".to_owned(),
                devices: "net_pcap to net_null".to_owned(),
                frame_bytes: 60,
                rounds: 3,
                seconds: 3.0,
            },
            sections: vec![section],
        }
    }

    #[test]
    fn table_and_document_say_what_was_measured_on_what_and_what_was_asked() {
        for text in [report().table(), report().markdown()] {
            for expected in [
                "30.00 Mpps",
                "40.00 Mpps",
                "0.750",
                "at least 0.650",
                "holds",
                "missed",
                "Nothing else was measured.",
                "64 bytes",
                "DPDK 22.11.11",
                "0123456789ab+",
                "a CPU",
            ] {
                assert!(text.contains(expected), "{expected} in:\n{text}");
            }
        }
    }

    #[test]
    fn the_json_has_circumstances_medians_every_round_and_what_was_asked() {
        let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(value["circumstances"]["rounds"], 3);
        let section = &value["sections"][0];
        assert_eq!(section["series"][1]["spread"]["median"], 40e6);
        assert_eq!(section["series"][0]["values"].as_array().map(Vec::len), Some(3));
        let findings = &section["findings"];
        assert_eq!(
            (&findings[0]["value"], &findings[0]["bound"]["at_least"]),
            (&0.75.into(), &0.65.into())
        );
        assert_eq!(
            (&findings[0]["holds"], &findings[1]["holds"]),
            (&true.into(), &false.into())
        );
    }

    #[test]
    fn the_cpu_is_named() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n"),
            Some("A CPU @ 2 GHz")
        );
        assert_eq!(cpu_model(""), None);
    }
}
