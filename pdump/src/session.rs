//! A capture from its command line to its report: opens the file, attaches, gives up root, captures, and attaches again if so wanted.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use control::capture::Capture;
use control::instance::InstanceDir;
use control::message::{CaptureInterface, CapturePoint, CaptureRequest, ErrorCode};
use control::tool;
use nix::unistd::Gid;
use serde_json::json;

use crate::TOOL;
use crate::arguments::{Arguments, Format};
use crate::capture::{Interruption, Run};
use crate::failure::Failure;
use crate::filter::Filter;
use crate::live::Live;
use crate::output::{About, CaptureFile, Files, Output, Owner, Target};
use crate::print::Lines;
use crate::privileges::{self, Later};
use crate::report::Report;
use crate::source::CaptureError;

/// How often to look whether a primary is back.
const LOOK: Duration = Duration::from_millis(100);
/// How long to leave a primary alone that has just come back or cut this tool off.
const PAUSE: Duration = Duration::from_secs(1);

/// Captures as the command line says.
///
/// # Errors
///
/// Everything that can go wrong; what was captured until then is written.
pub fn run(arguments: &Arguments, filter: Filter) -> Result<(), Failure> {
    if arguments.files.follow && arguments.write.is_some() && arguments.format == Format::Pcap {
        return Err(Failure::Usage(
            "--follow needs sections, which pcap has not: write pcapng".to_owned(),
        ));
    }
    let user = arguments
        .files
        .user
        .as_deref()
        .map(privileges::user)
        .transpose()?;
    let target = target(arguments, user.as_ref().map(|user| user.uid.as_raw()))?;
    // The file before the instance: a path that is wrong is refused before anything is asked of the primary.
    let files = target.clone().map(Files::open).transpose()?;
    let directory = arguments.instance.choose()?;
    // Before the capture begins, so that from then on a signal ends it in an orderly way.
    let stopped = tool::stop_flag()?;
    let request = request(arguments, filter);
    if arguments.verbose > 0 {
        say(&format!(
            "asking the primary of {} for a capture: {} instructions of filter, {} bytes of each packet",
            directory.name(),
            request.filter.len(),
            request.snaplen
        ));
    }
    let mut source = Capture::start(&directory, TOOL, request.clone())?;
    if let Some(user) = &user {
        let series = target.as_ref().filter(|target| target.switch.is_some());
        let later = Later {
            directory: series.and_then(Target::directory),
            group: series.and_then(|target| target.owner.group).map(Gid::from_raw),
            instance: arguments.files.follow.then_some(&directory),
        };
        privileges::give_up(user, later)?;
    }
    let interfaces = source.interfaces().to_vec();
    let mut output: Box<dyn Output> = match files {
        Some(files) => Box::new(CaptureFile::begin(
            files,
            arguments.format,
            &about(&request, &interfaces),
        )?),
        None => Box::new(Lines::new(
            io::stdout(),
            &interfaces,
            arguments.lines.style(arguments.json),
        )),
    };
    if !arguments.quiet {
        say(&beginning(arguments, &directory, &interfaces, &request));
    }
    let mut live = Live::new(arguments.quiet || arguments.write.is_none(), arguments.json);
    let stopped = || stopped.load(Ordering::Relaxed);
    let limits = arguments.files.limits(arguments.count);
    let mut watch = |report: &Report| live.say(report);
    let mut run = Run::new(output.as_mut(), limits, &stopped, &mut watch);
    let ended = loop {
        match run.capture(&mut source) {
            Err(Interruption::Source(error)) if arguments.files.follow && may_come_back(&error) => {
                if !arguments.quiet {
                    say(&waiting(arguments, &error));
                }
                match attach_again(&mut run, &directory, &request) {
                    Ok(Some(again)) => source = again,
                    Ok(None) => break Ok(()),
                    Err(failure) => break Err(failure),
                }
                let interfaces = source.interfaces().to_vec();
                if let Err(error) = run.section(&about(&request, &interfaces)) {
                    break Err(error.into());
                }
                if !arguments.quiet {
                    say(&beginning(arguments, &directory, &interfaces, &request));
                }
            }
            Err(Interruption::Source(error)) => break Err(error.into()),
            Err(Interruption::Output(error)) => break Err(error.into()),
            Ok(()) => break Ok(()),
        }
    };
    let report = run.report();
    live.end();
    if !arguments.quiet {
        print_report(arguments, &report);
    }
    ended
}

/// Where packets are written, if not on the screen; files are `user`'s.
pub(crate) fn target(arguments: &Arguments, user: Option<u32>) -> Result<Option<Target>, Failure> {
    let group = arguments
        .files
        .group
        .as_deref()
        .map(privileges::group)
        .transpose()?;
    let owner = Owner {
        user,
        group: group.map(|group| group.as_raw()),
    };
    let target = |path| arguments.files.target(path, owner).map_err(Failure::Usage);
    arguments.write.clone().map(target).transpose()
}

fn request(arguments: &Arguments, filter: Filter) -> CaptureRequest {
    CaptureRequest {
        interfaces: arguments.interfaces(),
        filter: filter.program,
        expression: filter.expression,
        snaplen: arguments.snapshot_length(),
        ..arguments.place.request()
    }
}

fn about<'a>(request: &'a CaptureRequest, interfaces: &'a [CaptureInterface]) -> About<'a> {
    About {
        interfaces,
        points: &request.points,
        expression: &request.expression,
        snaplen: request.snaplen,
    }
}

/// Whether a capture that ended so can go on with a primary that is restarted.
fn may_come_back(error: &CaptureError) -> bool {
    matches!(error, CaptureError::PrimaryEnded(_) | CaptureError::CutOff(_))
}

/// Waits until the primary is back, and attaches; `None`: somebody has ended the capture meanwhile.
fn attach_again(
    run: &mut Run<'_>,
    directory: &InstanceDir,
    request: &CaptureRequest,
) -> Result<Option<Capture>, Failure> {
    let mut next = Instant::now() + LOOK;
    while !run.is_over() {
        if Instant::now() >= next && directory.is_alive().unwrap_or(false) {
            match Capture::start(directory, TOOL, request.clone()) {
                Ok(capture) => return Ok(Some(capture)),
                Err(error) if may_pass(error.code) => next = Instant::now() + PAUSE,
                Err(error) => return Err(error.into()),
            }
        }
        thread::sleep(LOOK);
    }
    Ok(None)
}

/// Refusals of a primary that is about to begin.
fn may_pass(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownInstance
            | ErrorCode::InstanceDead
            | ErrorCode::NoAnswer
            | ErrorCode::LimitReached
            | ErrorCode::Busy
    )
}

fn waiting(arguments: &Arguments, error: &CaptureError) -> String {
    if arguments.json {
        return json!({ "waiting": error.to_string() }).to_string();
    }
    format!("{error}; waiting until it is back, Ctrl-C ends")
}

/// What is captured, as a sentence or as JSON.
fn beginning(
    arguments: &Arguments,
    directory: &InstanceDir,
    interfaces: &[CaptureInterface],
    request: &CaptureRequest,
) -> String {
    let names: Vec<_> = interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    let CaptureRequest {
        points, expression, ..
    } = request;
    let instance = directory.name();
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
pub(crate) fn print_report(arguments: &Arguments, report: &Report) {
    let object = || json!({ "report": report.to_json() }).to_string();
    match (arguments.json, &arguments.write) {
        // Whoever read the packets may have gone.
        (true, None) => drop(writeln!(io::stdout(), "{}", object())),
        (true, Some(_)) => say(&object()),
        (false, _) => say(&report.to_string()),
    }
}

/// A line on stderr. That nobody listens is no reason to end.
fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
