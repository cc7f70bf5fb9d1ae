//! The capture tool: reads its command line, compiles the filter, opens the file, attaches, captures, reports.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use control::capture::Capture;
use control::instance::InstanceName;
use control::message::{CaptureInterface, CapturePoint, CaptureRequest};
use control::tool;
use serde_json::json;

use pdump::TOOL;
use pdump::arguments::Arguments;
use pdump::capture::{self, Interruption};
use pdump::failure::Failure;
use pdump::filter::{Filter, listing};
use pdump::output::{About, CaptureFile, Destination, Output};
use pdump::print::Lines;
use pdump::report::Report;

fn main() -> ExitCode {
    tool::run(run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = Filter::compile_both(&arguments.filter, arguments.filters.keys.as_ref())?;
    if arguments.dump {
        io::stdout().write_all(listing(&filter.program).as_bytes())?;
        return Ok(());
    }
    // The file before the instance: a path that is wrong is refused before anything is asked of the primary.
    let destination = arguments.write.as_deref().map(Destination::open).transpose()?;
    let directory = arguments.instance.choose()?;
    // Before the capture begins, so that from then on a signal ends it in an orderly way.
    let stopped = tool::stop_flag()?;
    let snaplen = arguments.snapshot_length();
    if arguments.verbose > 0 {
        say(&format!(
            "asking the primary of {} for a capture: {} instructions of filter, {snaplen} bytes of each packet",
            directory.name(),
            filter.program.len()
        ));
    }
    let points = arguments.points();
    let request = CaptureRequest {
        interfaces: arguments.interfaces(),
        filter: filter.program,
        expression: filter.expression.clone(),
        snaplen,
        ..arguments.place.request()
    };
    let mut source = Capture::start(&directory, TOOL, request)?;
    let interfaces = source.interfaces().to_vec();
    let mut output: Box<dyn Output> = match destination {
        Some(destination) => {
            let about = About {
                interfaces: &interfaces,
                points: &points,
                expression: &filter.expression,
                snaplen,
            };
            Box::new(CaptureFile::begin(destination, arguments.format, &about)?)
        }
        None => Box::new(Lines::new(
            io::stdout(),
            &interfaces,
            arguments.lines.style(arguments.json),
        )),
    };
    if !arguments.quiet {
        say(&beginning(
            arguments,
            directory.name(),
            &interfaces,
            &filter.expression,
        ));
    }
    let (report, ended) = capture::run(&mut source, output.as_mut(), arguments.count, &|| {
        stopped.load(Ordering::Relaxed)
    });
    if !arguments.quiet {
        print_report(arguments, &report);
    }
    ended.map_err(|interruption| match interruption {
        Interruption::Source(error) => error.into(),
        Interruption::Output(error) => error.into(),
    })
}

/// What is captured, as a sentence or as JSON.
fn beginning(
    arguments: &Arguments,
    instance: &InstanceName,
    interfaces: &[CaptureInterface],
    expression: &str,
) -> String {
    let names: Vec<_> = interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    let points = arguments.points();
    if arguments.json {
        let points: Vec<_> = points.iter().map(|point| point.name()).collect();
        let capture = json!({
            "instance": instance.as_str(),
            "interfaces": names,
            "points": points,
            "filter": expression,
        });
        return json!({ "capturing": capture }).to_string();
    }
    let points = match points[..] {
        [CapturePoint::Rx] => ", received packets only".to_owned(),
        [CapturePoint::Tx] => ", sent packets only".to_owned(),
        [CapturePoint::Rx, CapturePoint::Tx] => String::new(),
        _ => {
            let names: Vec<_> = points.iter().map(|point| point.name()).collect();
            format!(", at {}", names.join(" and "))
        }
    };
    let filter = if expression.trim().is_empty() {
        String::new()
    } else {
        format!(", filter '{expression}'")
    };
    format!(
        "capturing on {} of instance {instance}{points}{filter}; Ctrl-C ends",
        names.join(", ")
    )
}

/// On stderr; as JSON behind the packets, if these are printed.
fn print_report(arguments: &Arguments, report: &Report) {
    match (arguments.json, &arguments.write) {
        // Whoever read the packets may have gone.
        (true, None) => drop(writeln!(io::stdout(), "{}", report.to_json())),
        (true, Some(_)) => say(&report.to_json()),
        (false, _) => say(&report.to_string()),
    }
}

/// A line on stderr. That nobody listens is no reason to end.
fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
