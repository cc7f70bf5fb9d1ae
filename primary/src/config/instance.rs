//! `[instance]`, and what the command line says of it.

use control::instance::InstanceName;

use super::{Instance, Overrides, sections};
use crate::netns;
use document::{At, Section};

/// `[instance]` and what the command line says of it, which may repeat the file and not contradict it.
pub(super) fn instance(section: Section<'_>, overrides: &Overrides) -> Option<Instance> {
    let document = section.document;
    let contradicts = |file: &At<&str>, key: &str, option: &str, given: &str| {
        let sentence = format!(
            "{key} = '{}' contradicts '--{option} {given}': remove one of them",
            file.value
        );
        document.report(file.place, sentence);
    };
    let text = section.string("name");
    let name = text.as_ref().and_then(|text| section.parse::<InstanceName>(text));
    match (&text, &overrides.instance) {
        (Some(file), Some(given)) if file.value != given.as_str() => {
            contradicts(file, "name", "instance", given.as_str())
        }
        (None, None) => document.report_missing(
            "the instance has no name: write name = \"blue\" in [instance], or give --instance NAME",
        ),
        _ => {}
    }
    let netns = section.string("netns");
    if let Some((place, error)) = netns
        .as_ref()
        .and_then(|at| Some((at.place, netns::validate(at.value).err()?)))
    {
        document.report(place, error.to_string());
    }
    if let Some(Err(error)) = overrides.netns.as_deref().map(netns::validate) {
        document.report_command_line(error.to_string());
    }
    if let (Some(file), Some(given)) = (&netns, &overrides.netns)
        && file.value != given
    {
        contradicts(file, "netns", "netns", given);
    }
    let prefix = section.string("file_prefix");
    let group = sections::group(&section);
    section.finish();

    let name = overrides.instance.clone().or(name.map(|at| at.value))?;
    let file_prefix = prefix
        .as_ref()
        .map_or_else(|| format!("tg-{name}"), |at| at.value.to_owned());
    if let Some(reason) = file_prefix_fault(&file_prefix) {
        let sentence =
            format!("the file prefix '{file_prefix}' {reason}: set file_prefix in [instance] to another");
        match &prefix {
            Some(At { place, .. }) => document.report(*place, sentence),
            None => document.report_missing(sentence),
        }
    }
    let netns = overrides.netns.clone().or(netns.map(|at| at.value.to_owned()));
    Some(Instance {
        name,
        netns,
        file_prefix,
        group,
    })
}

/// Why text cannot be a file prefix.
fn file_prefix_fault(prefix: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(plain) || prefix.starts_with('.') {
        Some("is not 1 to 64 letters, digits, '.', '_' and '-'")
    } else if prefix.contains("map_") {
        Some("contains 'map_', and every EAL that starts removes files of such names")
    } else {
        None
    }
}
