//! `trace start`, `trace show`, `trace stop`, `trace clear`: the stages that single packets went through.

mod decode;

use std::io::{self, BufWriter, Write};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use control::message::{ErrorCode, Reply, Request, TRACES_MAX, Trace, TraceRequest, TraceStatus};
use pdump::filter::{Filter, FilterError};
use serde_json::{Map, Value, json};

use self::decode::Step;
use crate::failure::Failure;
use crate::present;
use crate::session::{Session, unexpected};

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl trace start
  tollgate-ctl trace start -n 10 -i wan -f 'icmp and host 192.168.10.2'
  tollgate-ctl trace
  tollgate-ctl --json trace show
  tollgate-ctl trace clear

A trace takes the first packets that match and then ends by itself; 'start' forgets what was traced before. Each line has a
stage, when it began in nanoseconds after the first, and what it saw; the last says where the packet went or why it was
dropped. A packet that waits for a neighbour is not followed further. One that is given to a tool is shown once it is back:
'from_tool' says what the tool decided and how long that took. Times are longer than those of
packets that nobody traces, since traced packets go one by one. A packet that goes into a tunnel or comes out of one is followed
through it: 'encapsulated' and 'released' say which SA sealed or opened it, with which sequence number, or why it did not, and
the stages of the outer packet, or of what was inside, come behind that. Name the tunnel with -i to trace only what comes out of it. 'service' says between whom a packet
is that the load balancer has translated; filters see it as it came.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Trace the next packets that match
    Start(StartArguments),
    /// Show what was traced
    Show,
    /// Trace no more; what was traced stays
    Stop,
    /// Trace no more, and forget what was traced
    Clear,
}

#[derive(Debug, Args)]
struct StartArguments {
    /// How many packets
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(TRACES_MAX)))]
    count: u32,
    /// Only those that match this filter, in libpcap's language, as they are received on their interface
    #[arg(short, long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// Only those that come in by this interface; may be given several times
    #[arg(short, long, value_name = "IFACE")]
    interface: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    match arguments.verb {
        Some(Verb::Start(start)) => session.change(start.request()?),
        Some(Verb::Stop) => session.change(Request::TraceStop),
        Some(Verb::Clear) => session.change(Request::TraceClear),
        Some(Verb::Show) | None => show(session),
    }
}

impl StartArguments {
    fn request(self) -> Result<Request, Failure> {
        let filter = Filter::compile(&self.filter).map_err(|error| match error {
            FilterError::Library(_) => Failure::refused(ErrorCode::Failed, error.to_string()),
            _ => {
                let pointer = error
                    .pointer()
                    .map_or_else(String::new, |pointer| format!("\n{pointer}"));
                Failure::Usage(format!("{error}{pointer}"))
            }
        })?;
        Ok(Request::TraceStart(TraceRequest {
            count: self.count,
            interfaces: self.interface,
            filter: filter.program,
            expression: filter.expression,
        }))
    }
}

fn show(session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let mut client = session.client()?;
    let mut traces: Vec<Trace> = Vec::new();
    let status = loop {
        let after = traces.last().map_or(0, |trace| trace.number);
        let page = match session.call(&mut client, Request::TraceShow { after })? {
            Reply::Traces(page) => page,
            other => return Err(unexpected(&other)),
        };
        if page.traces.is_empty() {
            break page.request;
        }
        traces.extend(page.traces);
    };
    let mut out = BufWriter::new(io::stdout().lock());
    if session.options().json {
        let objects: Vec<_> = traces.iter().map(object).collect();
        present::write_json(&mut out, &objects)?;
    } else {
        for trace in &traces {
            write!(out, "{}", text(trace))?;
        }
        writeln!(out, "{}", sentence(status.as_ref()))?;
    }
    Ok(out.flush()?)
}

/// How far the trace is.
fn sentence(status: Option<&TraceStatus>) -> String {
    let Some(status) = status else {
        return "nothing was traced: begin with 'trace start'".to_owned();
    };
    let state = if status.running {
        "waits for more"
    } else {
        "is over"
    };
    let interfaces = match status.interfaces.as_slice() {
        [] => String::new(),
        names => format!(" from {}", names.join(", ")),
    };
    let filter = match status.expression.as_str() {
        "" => String::new(),
        expression => format!(" that match '{expression}'"),
    };
    format!(
        "{} of {} packets{interfaces}{filter}; the trace {state}",
        status.traced, status.count
    )
}

fn time(trace: &Trace) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(trace.time_ns);
    humantime::format_rfc3339_nanos(time).to_string()
}

fn summary(trace: &Trace) -> String {
    let first = trace.legs.first();
    first.map_or_else(String::new, |leg| {
        pdump::print::summary(&leg.received, leg.length)
    })
}

fn object(trace: &Trace) -> Value {
    let steps = decode::steps(trace);
    let step = |step: &Step| {
        let mut object = Map::new();
        object.insert("stage".into(), step.stage.into());
        object.insert("offset_ns".into(), step.offset_ns.into());
        for (name, value) in &step.fields {
            object.insert((*name).into(), value.clone());
        }
        Value::Object(object)
    };
    // As it came, and as it left in the end.
    let (first, last) = (trace.legs.first(), trace.legs.last());
    json!({
        "packet": trace.number,
        "time": time(trace),
        "worker": trace.worker,
        "interface": first.map(|leg| leg.interface.as_str()),
        "length": first.map(|leg| leg.length),
        "summary": summary(trace),
        "stages": steps.iter().map(step).collect::<Vec<_>>(),
        "received": decode::hex(first.map_or(&[], |leg| &leg.received)),
        "sent": decode::hex(last.map_or(&[], |leg| &leg.sent)),
    })
}

fn text(trace: &Trace) -> String {
    let mut text = format!("packet {} at {}: {}\n", trace.number, time(trace), summary(trace));
    for step in decode::steps(trace) {
        let line = format!(
            "{:>10} ns  {:<11}  {}",
            step.offset_ns,
            step.stage,
            step.fields_in_words()
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
