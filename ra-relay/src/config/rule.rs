//! One rule of the configuration file.

use control::alerts;
use control::message::{AlertRate, AlertRule, FailMode};
use document::{At, Section, suggestion};
use router_alert::Family;
use router_alert::handler::{DSCP_MAX, HOLD_MAX, Handler};
use router_alert::matching::Rule;

/// What handlers that need a word more could be given.
const EXAMPLES: [(&str, &str); 4] = [
    ("dscp", "46"),
    ("mirror", "\"wan\""),
    ("hold", "100"),
    ("helper", "\"policy\""),
];

/// Reads a rule. `None` only when something was noted as wrong.
pub(super) fn read(section: Section<'_>) -> Option<AlertRule> {
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
    let fail = section.string("fail").map(|text| fail(&section, &text));
    let see_expired = section.boolean("see_expired").is_some_and(|at| at.value);
    let rate = rate(&section);
    let handler = handler(&section);
    let (document, place) = (section.document, section.place);
    section.finish();
    let rule = AlertRule {
        rule: Rule {
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
        },
        fail: match fail {
            Some(fail) => Some(fail?),
            None => None,
        },
        see_expired,
        rate,
        handler: handler?,
    };
    match alerts::check(&rule) {
        Ok(()) => Some(rule),
        Err(error) => {
            document.report(place, error.to_string());
            None
        }
    }
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

fn fail(section: &Section<'_>, text: &At<&str>) -> Option<FailMode> {
    match text.value {
        "open" => Some(FailMode::Open),
        "closed" => Some(FailMode::Closed),
        other => {
            let sentence =
                format!("fail = '{other}' is not known: use open or closed, or leave it to the class");
            section.document.report(text.place, sentence);
            None
        }
    }
}

/// The policer. Where the burst is not given it is a quarter of a second's packets.
fn rate(section: &Section<'_>) -> Option<AlertRate> {
    let rate = section.integer("rate", 1..=u32::MAX);
    let burst = section.integer("burst", 1..=u32::MAX);
    match (rate, burst) {
        (Some(rate), burst) => Some(AlertRate {
            rate: rate.value,
            burst: burst.map_or((rate.value / 4).max(1), |at| at.value),
        }),
        (None, Some(burst)) => {
            let sentence = "burst is of a policer, and there is no rate: write rate = 1000, or remove it";
            section.document.report(burst.place, sentence);
            None
        }
        (None, None) => None,
    }
}

/// The handler: all in one text, as the command line has it, or its first word and a key of that name with the rest.
fn handler(section: &Section<'_>) -> Option<Handler> {
    let text = section.string("handler");
    section.missing("handler", "\"log\"");
    let word = |key| (key, section.string(key).map(|at| at.map(str::to_owned)));
    let words = ["strip", "drop", "mirror", "helper"].map(word);
    let dscp = section.integer("dscp", 0..=DSCP_MAX);
    let hold = section.integer("hold", 1..=HOLD_MAX);
    let numbers = [
        ("dscp", dscp.map(|at| at.map(|number| number.to_string()))),
        ("hold", hold.map(|at| at.map(|number| number.to_string()))),
    ];
    let At { place, value } = text?;
    let report = |place, sentence: String| section.document.report(place, sentence);
    let name = value.split_whitespace().next().unwrap_or_default();
    if !Handler::NAMES.contains(&name) {
        let hint = suggestion(name, &Handler::NAMES);
        report(place, format!("'{name}' is no handler: {hint}"));
        return None;
    }
    let mut whole = At {
        place,
        value: value.to_owned(),
    };
    for (key, argument) in words.into_iter().chain(numbers) {
        let Some(argument) = argument else {
            continue;
        };
        if key == name {
            whole = argument.map(|argument| format!("{value} {argument}"));
        } else {
            let sentence = format!("{key} is for the handler {key}, and this is {name}: remove it");
            report(argument.place, sentence);
        }
    }
    let example = EXAMPLES
        .iter()
        .find(|(handler, _)| *handler == whole.value.trim());
    if let Some((name, example)) = example {
        report(
            whole.place,
            format!("the handler {name} needs to know which: write {name} = {example}"),
        );
        return None;
    }
    match whole.value.parse() {
        Ok(handler) => Some(handler),
        Err(error) => {
            let error: router_alert::handler::HandlerError = error;
            report(whole.place, error.to_string());
            None
        }
    }
}
