//! The configuration file: rules and what is done with their packets.

use std::fs;
use std::path::Path;

use control::message::AlertRule;
use document::{At, ConfigErrors, Document, Section, suggestion};
use router_alert::Family;
use router_alert::handler::Handler;
use router_alert::matching::Rule;
use router_alert::strip::How;

/// A configuration that has nothing wrong with it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rules in the order of the file, each with what is done with its packets.
    pub rules: Vec<(Rule, Handler)>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        match fs::read_to_string(path) {
            Ok(text) => Self::read(&text, path),
            Err(error) => Err(ConfigErrors::unreadable(path, &error)),
        }
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn read(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        let document = Document::new(path, text);
        let table = document.parse();
        let config = table
            .as_ref()
            .map(|table| walk(&Section::root(&document, table), &document));
        drop(table);
        let errors = document.into_errors();
        match config {
            Some(config) if errors.problems().is_empty() => Ok(config),
            _ => Err(errors),
        }
    }
}

impl Config {
    /// The rules for the primary: it forwards packets that none fits by itself.
    pub fn alerts(&self) -> Vec<AlertRule> {
        let rules = self.rules.iter().cloned();
        rules
            .map(|(rule, handler)| AlertRule::new(rule, handler))
            .collect()
    }
}

fn walk(root: &Section<'_>, document: &Document<'_>) -> Config {
    let mut rules: Vec<(Rule, Handler)> = Vec::new();
    for section in root.sections("rule", "[[rule]]") {
        let place = section.place;
        if let Some((rule, handler)) = rule(section) {
            if rules.iter().any(|(other, _)| other.name == rule.name) {
                document.report(
                    place,
                    format!(
                        "there is a rule '{}' already: give this one another name",
                        rule.name
                    ),
                );
            }
            rules.push((rule, handler));
        }
    }
    if rules.is_empty() {
        document.report_missing("there is no rule, so nothing would be relayed: write [[rule]]");
    }
    Config { rules }
}

/// One rule. `None` only when something was noted as wrong.
fn rule(section: Section<'_>) -> Option<(Rule, Handler)> {
    let name = section.string("name").map(|at| at.value.to_owned());
    section.missing("name", "\"rsvp\"");
    let values = section.parsed("values");
    section.missing("values", "\"0,4-35\", or \"any\"");
    let family = section.string("family").map(|text| family(&section, &text));
    let protocol = section.integer("protocol", 0..=255u8);
    let interface = section.string("interface").map(|at| at.value.to_owned());
    let source = section.parsed("source");
    let destination = section.parsed("destination");
    let priority = section.integer("priority", 0..=u32::MAX);
    let handler = handler(&section);
    section.finish();
    let rule = Rule {
        name: name?,
        values: values?.value,
        family: match family {
            Some(family) => Some(family?),
            None => None,
        },
        protocol: protocol.map(|at| at.value),
        interface,
        source: source.map(|at| at.value),
        destination: destination.map(|at| at.value),
        priority: priority.map_or(0, |at| at.value),
    };
    Some((rule, handler?))
}

fn family(section: &Section<'_>, text: &At<&str>) -> Option<Family> {
    match text.value {
        "ipv4" => Some(Family::Four),
        "ipv6" => Some(Family::Six),
        other => {
            let sentence = format!("'{other}' is no family: use ipv4 or ipv6, or leave it out for both");
            section.document.report(text.place, sentence);
            None
        }
    }
}

/// The handlers that rules may name.
const HANDLERS: [&str; 5] = ["relay", "log", "strip", "dscp", "drop"];

fn handler(section: &Section<'_>) -> Option<Handler> {
    let text = section.string("handler");
    section.missing("handler", "\"log\"");
    let how = section.string("strip");
    let dscp = section.integer("dscp", 0..=63u8);
    let text = text?;
    let handler = match text.value {
        "relay" => Handler::Relay,
        "log" => Handler::Log,
        "drop" => Handler::Drop,
        "strip" => match how.as_ref().map(|at| at.value) {
            None | Some("remove") => Handler::Strip(How::Remove),
            Some("pad") => Handler::Strip(How::Pad),
            Some(other) => {
                let place = how.as_ref().map_or(text.place, |at| at.place);
                let sentence = format!("strip = '{other}' is not known: use remove or pad");
                section.document.report(place, sentence);
                return None;
            }
        },
        "dscp" => match &dscp {
            Some(at) => Handler::Dscp(at.value),
            None => {
                let sentence = "the handler dscp needs to know which: write dscp = 46";
                section.document.report(text.place, sentence);
                return None;
            }
        },
        other => {
            let hint = suggestion(other, &HANDLERS);
            let sentence = format!("'{other}' is no handler: {hint}");
            section.document.report(text.place, sentence);
            return None;
        }
    };
    let needless = [
        ("strip", how.map(|at| at.place)),
        ("dscp", dscp.map(|at| at.place)),
    ];
    for (key, place) in needless {
        if let Some(place) = place
            && key != handler.name()
        {
            let sentence = format!(
                "{key} is for the handler {key}, and this is {}: remove it",
                handler.name()
            );
            section.document.report(place, sentence);
        }
    }
    Some(handler)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::read(text, Path::new("ra.toml")).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_rule_has_what_the_file_says() {
        let config = read(
            r#"
            [[rule]]
            name        = "rsvp"
            priority    = 10
            family      = "ipv6"
            values      = "1,4-35"
            protocol    = 46
            interface   = "lan"
            source      = "2001:db8::/32"
            destination = "2001:db8:1::/48"
            handler     = "strip"
            strip       = "pad"

            [[rule]]
            name    = "rest"
            values  = "any"
            handler = "log"
            "#,
        )
        .unwrap();
        let [(rsvp, strip), (rest, log)] = &config.rules[..] else {
            panic!("{config:?}");
        };
        assert_eq!(
            (rsvp.name.as_str(), rsvp.priority, rsvp.protocol),
            ("rsvp", 10, Some(46))
        );
        assert_eq!(
            (rsvp.family, rsvp.interface.as_deref()),
            (Some(Family::Six), Some("lan"))
        );
        assert_eq!(rsvp.values.to_string(), "1,4-35");
        assert_eq!(rsvp.source, Some("2001:db8::/32".parse().unwrap()));
        assert_eq!(rsvp.destination, Some("2001:db8:1::/48".parse().unwrap()));
        assert_eq!((strip, log), (&Handler::Strip(How::Pad), &Handler::Log));
        assert_eq!((rest.family, rest.priority), (None, 0));
        assert!(rest.values.contains(65535));
        let alerts = [
            AlertRule::new(rsvp.clone(), strip.clone()),
            AlertRule::new(rest.clone(), log.clone()),
        ];
        assert_eq!(config.alerts(), alerts);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            (
                "",
                "ra.toml: there is no rule, so nothing would be relayed: write [[rule]]",
            ),
            (
                "[[rule]]\nname = \"a\"\nhandler = \"log\"",
                "ra.toml:1:1: [[rule]] has no values: write values = \"0,4-35\", or \"any\"",
            ),
            (
                "[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = \"stripp\"",
                "ra.toml:4:11: 'stripp' is no handler: did you mean 'strip'?",
            ),
            (
                "[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = \"log\"\nstrip = \"pad\"",
                "ra.toml:5:9: strip is for the handler strip, and this is log: remove it",
            ),
            (
                "[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = \"dscp\"",
                "ra.toml:4:11: the handler dscp needs to know which: write dscp = 46",
            ),
            (
                "[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = \"log\"\nfamily = \"v6\"",
                "ra.toml:5:10: 'v6' is no family: use ipv4 or ipv6, or leave it out for both",
            ),
        ] {
            let refused = read(text).unwrap_err();
            assert!(
                refused.lines().any(|line| line == said),
                "{refused}\nwanted: {said}"
            );
        }
    }
}
