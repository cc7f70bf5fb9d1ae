//! `cargo xtask instructions`: how many instructions a packet takes in the stages, which noise cannot move.
//!
//! Callgrind counts the example `path_cost` of the primary: both families, with each feature on that no packet uses. What it counts
//! must not be above the bounds in [`FIGURES`] if the same compiler made both, and no feature may take a hundredth more than none.

use std::{fmt::Write, fs, path::PathBuf, process::Command, time::Duration};

use ::tests::{Wait, run as run_command};

use crate::{
    bench::callgrind::{self, Profile},
    cargo,
    error::Error,
    packages::{self, Needs},
    progress::{say, show, step},
};

/// The figures and their bounds, in the workspace.
const FIGURES: &str = "primary/examples/path_cost/instructions.txt";
/// Packets that the example takes through the stages in each setting: whole bursts of 10,000.
const PACKETS: f64 = 9984.0;
/// How much more than the figure the bound is.
const ROOM: f64 = 1.02;
/// How much a feature may add that no packet uses.
const UNUSED: f64 = 1.01;
/// Seconds, on a host that is busy with other things.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Builds, counts, and compares with the bounds; with `accept`, makes what is counted the new figures instead.
pub(crate) fn run(accept: bool) -> Result<(), Error> {
    packages::install(Needs::Tests)?;
    cargo::build_all_and_examples()?;
    compare(accept)
}

/// The same for what is built.
pub(crate) fn compare(accept: bool) -> Result<(), Error> {
    let figures = count()?;
    if accept {
        let path = cargo::workspace().join(FIGURES);
        crate::bench::write(&path, &text(&figures, &compiler()?))?;
        say!("    {} has these figures and bounds now", path.display());
    } else {
        let text = read(cargo::workspace().join(FIGURES))?;
        let own = compiler()?;
        if compiler_of(&text) != own {
            say!(
                "    the bounds are of {}, and this is {own}: only features are compared",
                compiler_of(&text)
            );
        }
        let complaints = complaints(&figures, &text, &own);
        if !complaints.is_empty() {
            return Err(Error::Instructions {
                complaints,
                figures: FIGURES,
            });
        }
    }
    Ok(())
}

/// Instructions per packet by setting, in the order of the example.
fn count() -> Result<Vec<(String, f64)>, Error> {
    step!("instructions per packet: valgrind on the example path_cost");
    let path = cargo::target().join("path_cost.callgrind");
    let profile = Profile::new(&path);
    let mut words = profile.words("path_cost::forward");
    words.push("--dump-after=*path_cost::setting*".to_owned());
    words.push(cargo::programs().join("examples/path_cost").display().to_string());
    words.push("count".to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let names = run_command(command, Wait::Interruptible(LIMIT))?
        .success()?
        .stdout;
    let mut figures = Vec::new();
    for (number, name) in names.lines().enumerate() {
        let dump = PathBuf::from(format!("{}.{}", path.display(), number + 1));
        let total = callgrind::total(&read(dump)?).unwrap_or(0);
        if total == 0 {
            return Err(Error::Unexpected(
                "callgrind saw no call of `forward` in the example path_cost: is it inlined, or named otherwise?".to_owned(),
            ));
        }
        figures.push((name.to_owned(), total as f64 / PACKETS));
    }
    let lines = figures
        .iter()
        .map(|(name, figure)| format!("{name:<18} {figure:7.2}\n"));
    show(&lines.collect::<String>());
    Ok(figures)
}

/// What is wrong, a line each. Bounds are for what one compiler makes.
fn complaints(figures: &[(String, f64)], text: &str, compiler: &str) -> Vec<String> {
    let same_compiler = compiler_of(text) == compiler;
    let mut complaints = Vec::new();
    for (name, figure) in figures {
        match bound_of(text, name) {
            Some(bound) if same_compiler && *figure > bound => complaints.push(format!(
                "{name}: {figure:.2} instructions per packet are {:.2} ({:.1} %) above the bound of {bound:.2}",
                figure - bound,
                (figure / bound - 1.0) * 100.0
            )),
            Some(_) => {}
            None => complaints.push(format!("{name}: {figure:.2} instructions per packet, and no bound is written down")),
        }
        let family = name.split(' ').next().unwrap_or_default();
        let plain = figures
            .iter()
            .find(|(other, _)| *other == format!("{family} plain"));
        if let Some((_, plain)) = plain.filter(|(_, plain)| *figure > plain * UNUSED) {
            complaints.push(format!(
                "{name}: {figure:.2} instructions per packet are {:.1} % more than {plain:.2} without a feature that no packet uses",
                (figure / plain - 1.0) * 100.0
            ));
        }
    }
    complaints
}

fn bound_of(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The file of the figures.
fn text(figures: &[(String, f64)], compiler: &str) -> String {
    let mut text = format!(
        "# Instructions per packet in the stages as callgrind counts them, and the bound: 2 % above.\n\
         # Written by `cargo xtask instructions --accept`, compared by `cargo xtask instructions` and `cargo xtask test`.\n\
         # {compiler}\n"
    );
    for (name, figure) in figures {
        let _ = writeln!(text, "{name:<18} {figure:8.2} {:8.2}", figure * ROOM);
    }
    text
}

/// The compiler that the figures are of.
fn compiler_of(text: &str) -> &str {
    let mut comments = text.lines().filter_map(|line| line.strip_prefix("# "));
    comments
        .find(|line| line.starts_with("rustc "))
        .unwrap_or("unknown")
}

fn compiler() -> Result<String, Error> {
    let mut command = Command::new("rustc");
    command.arg("--version").current_dir(cargo::workspace());
    let answer = run_command(command, Wait::Interruptible(LIMIT))?
        .success()?
        .stdout;
    // Without what packagers add.
    let words: Vec<_> = answer.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

fn read(path: PathBuf) -> Result<String, Error> {
    fs::read_to_string(&path).map_err(|source| Error::File {
        action: "read",
        path,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(plain: f64, taps: f64) -> Vec<(String, f64)> {
        vec![("ipv4 plain".to_owned(), plain), ("ipv4 taps".to_owned(), taps)]
    }

    const RUSTC: &str = "rustc 1.95.0";

    #[test]
    fn what_another_compiler_makes_has_no_bounds_but_features() {
        let text = text(&figures(100.0, 100.0), RUSTC);
        let complaints = complaints(&figures(200.0, 203.0), &text, "rustc 1.96.0");
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("without a feature"), "{complaints:?}");
    }

    #[test]
    fn what_was_accepted_is_no_reason_to_complain_nor_is_a_hundredth_more() {
        let text = text(&figures(100.0, 100.5), RUSTC);
        assert!(complaints(&figures(100.0, 100.5), &text, RUSTC).is_empty());
        assert!(complaints(&figures(101.9, 101.9), &text, RUSTC).is_empty());
        assert_eq!(compiler_of(&text), RUSTC);
    }

    #[test]
    fn what_is_above_its_bound_is_named_with_how_much() {
        let text = text(&figures(100.0, 100.0), RUSTC);
        let complaints = complaints(&figures(105.06, 105.06), &text, RUSTC);
        assert_eq!(
            complaints[0],
            "ipv4 plain: 105.06 instructions per packet are 3.06 (3.0 %) above the bound of 102.00"
        );
    }

    #[test]
    fn a_feature_that_costs_and_a_figure_without_bound_are_named() {
        let text = text(&figures(100.0, 102.0), RUSTC);
        let complaint = complaints(&figures(100.0, 102.0), &text, RUSTC).join("\n");
        assert!(
            complaint.starts_with("ipv4 taps: 102.00 instructions per packet are 2.0 % more than 100.00"),
            "{complaint}"
        );
        let complaint = complaints(&[("ipv6 plain".to_owned(), 1.0)], &text, RUSTC).join("\n");
        assert!(complaint.contains("no bound"), "{complaint}");
    }
}
