//! What was found, and how it is told: as a table, as comments of a configuration, or as JSON.

use serde::Serialize;

use super::host_facts::HostFacts;
use super::proposal::NicReport;
use crate::output::table;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know, nothing stands in the way.
    Note,
    /// An instance would not start, or not work.
    Problem,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// "host", or a NIC's interface or PCI address.
    pub(super) subject: String,
    /// What was looked at; scripts may rely on the name.
    pub(super) check: &'static str,
    /// One sentence.
    pub(super) finding: String,
    /// What mends it, in this order, as root.
    pub(super) commands: Vec<String>,
}

impl Finding {
    /// A finding about the host; see [`on`](Self::on).
    pub(super) fn new(level: Level, check: &'static str, finding: impl Into<String>) -> Self {
        Self {
            level,
            subject: "host".to_owned(),
            check,
            finding: finding.into(),
            commands: Vec::new(),
        }
    }

    /// As it should be.
    pub(super) fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, finding)
    }

    /// Good to know.
    pub(super) fn note(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Level::Note, check, finding)
    }

    /// In the way.
    pub(super) fn problem(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, finding)
    }

    /// What it is about, when that is not the host.
    pub(super) fn on(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// A command that mends it, or the next one.
    pub(super) fn run(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// How many findings are problems.
    pub(super) problems: usize,
    pub(super) findings: Vec<Finding>,
    pub(super) host: HostFacts,
    pub(super) nics: Vec<NicReport>,
    /// The configuration to start with, TOML, when a NIC was named that can have one.
    pub(super) config: Option<String>,
}

impl Report {
    pub(super) fn table(&self) -> String {
        let mut rows = table(&["LEVEL", "SUBJECT", "CHECK", "FINDING"]);
        for finding in &self.findings {
            let told = [finding.finding.clone()]
                .into_iter()
                .chain(finding.commands.iter().map(|command| format!("  {command}")));
            rows.add_row([
                finding.level.name(),
                &finding.subject,
                finding.check,
                &told.collect::<Vec<_>>().join("\n"),
            ]);
        }
        rows.trim_fmt()
    }

    /// The findings as comments, and below them the configuration, if there is one.
    pub(super) fn toml(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let Finding {
                subject,
                check,
                finding: sentence,
                ..
            } = finding;
            let level = finding.level.name();
            text.push_str(&comment(&format!("{level}: {subject}, {check}: {sentence}")));
            for command in &finding.commands {
                text.push_str(&comment(&format!("    {command}")));
            }
        }
        if let Some(config) = &self.config {
            text.push('\n');
            text.push_str(config);
        }
        text
    }
}

/// A line of comment. TOML allows no control characters there, and names of interfaces may have some.
pub(super) fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    format!("# {plain}\n")
}
