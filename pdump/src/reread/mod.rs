//! Files that were captured before (`-r`): filtered, merged by time, and written or printed.
//!
//! ```text
//!   input: pcapng, pcap, compressed or not ─┐ the earliest   ┌─► sink: a file with all interfaces
//!   input ──────────────────────────────────┤ packet first   │
//!   input ──────────────────────────────────┘── filter ──────┴─► sink: lines
//! ```

mod input;
mod sink;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};

use control::tool;
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::Block;

pub use self::input::InputError;
use self::input::{Found, Input, Item, link_name};
use self::sink::{Printed, Sink, Written};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::filter::{Filter, FilterError, instruction_of};
use crate::output::{Files, OutputError};
use crate::report::Report;
use crate::session;

/// Reads files as the command line says.
///
/// # Errors
///
/// Everything that can go wrong. What could be read of a file that is bad is written, and the others whole.
pub fn run(arguments: &Arguments, filter: Filter) -> Result<(), Failure> {
    let stopped = tool::stop_flag()?;
    let paths = &arguments.files.read;
    let inputs = paths
        .iter()
        .map(|path| Input::open(path, &stopped))
        .collect::<Result<Vec<_>, _>>()?;
    let files = session::target(arguments, None)?.map(Files::open).transpose()?;
    if let Some(files) = &files
        && paths.iter().any(|path| input::is_same(path, files.path()))
    {
        return Err(Failure::Output(OutputError::Same {
            name: files.path().display().to_string(),
        }));
    }
    let mut sink: Box<dyn Sink> = match files {
        Some(files) => Box::new(Written::begin(files, arguments.format, &inputs)?),
        None => Box::new(Printed::new(arguments.lines.style(arguments.json))),
    };
    let mut merge = Merge {
        heads: inputs.into_iter().map(Head::new).collect(),
        filters: Filters::new(filter),
        counts: Report::default(),
        errors: Vec::new(),
    };
    let most = arguments
        .files
        .limits(arguments.count)
        .packets
        .map_or(u64::MAX, u64::from);
    let ended = merge.run(sink.as_mut(), most, &stopped);
    let ended = ended.and_then(|()| sink.finish().map_err(Failure::from));
    let mut report = merge.counts;
    report.written = sink.written();
    report.unwritten = report.seen - report.filtered - report.written;
    if !arguments.quiet {
        session::print_report(arguments, &report);
    }
    ended?;
    if merge.errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::Input(merge.errors))
    }
}

/// A file, and the packet of it that is next.
struct Head {
    input: Input,
    /// Of the interfaces of its section: their numbers in the output, and their link types.
    interfaces: Vec<(u32, DataLink)>,
    next: Option<(u32, Found)>,
}

impl Head {
    fn new(input: Input) -> Self {
        Self {
            input,
            interfaces: Vec::new(),
            next: None,
        }
    }
}

struct Merge {
    heads: Vec<Head>,
    filters: Filters,
    counts: Report,
    errors: Vec<InputError>,
}

impl Merge {
    fn run(&mut self, sink: &mut dyn Sink, most: u64, stopped: &AtomicBool) -> Result<(), Failure> {
        for at in 0..self.heads.len() {
            self.advance(at, sink, stopped)?;
        }
        let mut taken = 0;
        while taken < most && !stopped.load(Ordering::Relaxed) {
            // Of files with packets of the same time the first comes first.
            let times = self.heads.iter().enumerate();
            let earliest = times
                .filter_map(|(at, head)| Some((head.next.as_ref()?.1.time, at)))
                .min();
            let Some((_, at)) = earliest else {
                break;
            };
            if let Some((interface, packet)) = self.heads[at].next.take() {
                sink.packet(interface, packet)?;
                taken += 1;
            }
            self.advance(at, sink, stopped)?;
        }
        Ok(())
    }

    /// Reads a file on to the next packet that matches. One that is bad ends there.
    fn advance(&mut self, at: usize, sink: &mut dyn Sink, stopped: &AtomicBool) -> Result<(), Failure> {
        let Self {
            heads,
            filters,
            counts,
            errors,
        } = self;
        let head = &mut heads[at];
        loop {
            let item = match head.input.next() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(()),
                Err(error) => {
                    // Where a file is left since somebody ends the tool is no fault of the file.
                    if !stopped.load(Ordering::Relaxed) {
                        errors.push(error);
                    }
                    return Ok(());
                }
            };
            match item {
                Item::Section => head.interfaces.clear(),
                Item::Interface(interface) => {
                    let number = sink.interface(head.input.name(), &interface)?;
                    head.interfaces.push((number, interface.linktype));
                }
                Item::Packet(packet) => {
                    counts.seen += 1;
                    let Some((number, link)) = head.interfaces.get(packet.interface as usize) else {
                        // The reader has looked.
                        counts.filtered += 1;
                        continue;
                    };
                    if filters.of(*link)?.matches(&packet.data, packet.wire_length) {
                        head.next = Some((*number, packet));
                        return Ok(());
                    }
                    counts.filtered += 1;
                }
                Item::Other(Block::InterfaceStatistics(mut statistics)) => {
                    if let Some((number, _)) = head.interfaces.get(statistics.interface_id as usize) {
                        statistics.interface_id = *number;
                        sink.other(&Block::InterfaceStatistics(statistics))?;
                    }
                }
                Item::Other(block) => sink.other(&block)?,
            }
        }
    }
}

/// A filter, compiled for each link type that there is.
struct Filters {
    expression: String,
    by_link: HashMap<u32, Filter>,
}

impl Filters {
    fn new(filter: Filter) -> Self {
        Self {
            expression: filter.expression.clone(),
            by_link: [(u32::from(DataLink::ETHERNET), filter)].into(),
        }
    }

    fn of(&mut self, link: DataLink) -> Result<&Filter, FilterError> {
        Ok(match self.by_link.entry(u32::from(link)) {
            Entry::Occupied(filter) => filter.into_mut(),
            Entry::Vacant(place) => place.insert(compile(&self.expression, link)?),
        })
    }
}

/// LINKTYPE_RAW in files is DLT_RAW to libpcap: the only one of those that people have whose numbers differ.
const LINKTYPE_RAW: u32 = 101;
const DLT_RAW: i32 = 12;

fn compile(expression: &str, link: DataLink) -> Result<Filter, FilterError> {
    let mut filter = Filter {
        expression: expression.to_owned(),
        program: Vec::new(),
    };
    if expression.trim().is_empty() {
        return Ok(filter);
    }
    let number = match u32::from(link) {
        LINKTYPE_RAW => DLT_RAW,
        number => i32::try_from(number).unwrap_or_default(),
    };
    let wrong = |error: pcap::Error| FilterError::Wrong {
        reason: format!("for packets of link type {}: {error}", link_name(link)),
        expression: expression.to_owned(),
        column: None,
    };
    let compiler = pcap::Capture::dead(pcap::Linktype(number)).map_err(wrong)?;
    let program = compiler.compile(expression, true).map_err(wrong)?;
    let instructions = program.get_instructions().iter();
    let instructions = instructions.map(|instruction| instruction_of(&instruction.to_string()));
    let unreadable = || FilterError::Library("its instructions cannot be read".to_owned());
    filter.program = instructions.collect::<Option<_>>().ok_or_else(unreadable)?;
    Ok(filter)
}
