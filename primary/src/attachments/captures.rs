//! Captures: begun, shown and ended.

use std::sync::Arc;
use std::time::Duration;

use control::message::{
    Budget, CaptureInfo, CapturePoint, CaptureRequest, ControlError, ErrorCode, FilterInstruction, PuntClass,
    Reply, SNAPLEN_MAX,
};
use control::server::{Peer, Response};
use dpdk::Eal;
use dpdk::filter::{Filter, Instruction};
use shm::DropReason;
use shm::attachment::{Attachment, Way};

use super::{AttachmentInterface, Attachments, Kind, Ration, Sight, Tap, Terms, longest, means_all};
use crate::path::Interfaces;

/// The longest filter expression that is kept to be shown, bytes.
const EXPRESSION: usize = 1024;

/// The most interfaces that a capture is on: the tool is told of all of them in one answer.
const INTERFACES: usize = 1000;

/// What a capture takes.
pub(super) struct Capture {
    interfaces: Vec<String>,
    points: Vec<CapturePoint>,
    expression: String,
    snaplen: usize,
    queue: Option<u16>,
    drop_reasons: Vec<String>,
    punt_classes: Vec<PuntClass>,
    related: bool,
    ring_kb: u32,
    budget: Budget,
    /// Whether it was said that it is over its budget.
    is_over: bool,
}

/// The filter of a request; `None` when it wants every packet.
pub fn compile(eal: &Eal, program: &[FilterInstruction]) -> Result<Option<Arc<Filter>>, ControlError> {
    if program.is_empty() {
        return Ok(None);
    }
    let program: Vec<_> = program
        .iter()
        .map(|instruction| Instruction {
            code: instruction.code,
            jt: instruction.jt,
            jf: instruction.jf,
            k: instruction.k,
        })
        .collect();
    Filter::compile(eal, &program)
        .map(|filter| Some(Arc::new(filter)))
        .map_err(|error| ControlError::new(ErrorCode::Invalid, error.to_string()))
}

impl Attachments<'_> {
    /// Begins a capture for the tool at the other end of a connection.
    pub fn start_capture(
        &mut self,
        peer: &Peer,
        request: CaptureRequest,
        interfaces: &Interfaces,
        now: Duration,
    ) -> Result<Response, ControlError> {
        self.check_new(peer)?;
        let chosen = self.choose(&request.interfaces)?;
        let longest = longest(chosen.iter().copied());
        let chosen: Vec<_> = chosen.iter().map(|chosen| chosen.interface.clone()).collect();
        let filter = compile(self.eal, &request.filter)?;
        if request.snaplen == 0 || request.snaplen > SNAPLEN_MAX {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "a snapshot length of {} cannot be: give 1 to {SNAPLEN_MAX}",
                    request.snaplen
                ),
            ));
        }
        if request.points.is_empty() {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                "a capture needs a point: give rx, tx, punt, reinject, drop, pre-encrypt or post-decrypt",
            ));
        }
        let mut points = request.points;
        points.sort_by_key(|point| Way::from(*point) as u8);
        points.dedup();
        let snaplen = longest.min(request.snaplen as usize);
        let indices: Vec<_> = chosen.iter().map(|interface| interface.index).collect();
        let sight = Sight::new(
            &Arc::new(interfaces.clone()),
            &indices,
            points
                .iter()
                .fold(0, |ways, point| ways | Way::from(*point).bit()),
            means_all(&request.interfaces),
        );
        let terms = Terms {
            queue: request.queue,
            reasons: reasons(&request.drop_reasons)?,
            classes: classes(&request.punt_classes),
            related: request.related,
        };
        let workers = self.workers.len();
        // Nothing but drops is seen beside the workers.
        let beside = points.contains(&CapturePoint::Drop);
        let ration = Ration::new(
            &checked(request.budget)?,
            workers as u64 + u64::from(beside),
            dpdk::tsc_hz(),
            dpdk::tsc(),
        );
        let bytes = self.bytes_for(request.ring_kb)?;
        let reservation = self.reserve()?;
        let made = Attachment::within(reservation, bytes, workers, beside, snaplen);
        let (attachment, lanes) = self.made(made, snaplen)?;
        let descriptors = self.hand_over(&attachment)?;
        let mut expression = request.expression;
        expression.truncate(expression.floor_char_boundary(EXPRESSION));
        let capture = Capture {
            interfaces: chosen.iter().map(|interface| interface.name.clone()).collect(),
            points,
            expression: expression.chars().filter(|c| !c.is_control()).collect(),
            snaplen,
            queue: request.queue,
            drop_reasons: request.drop_reasons,
            punt_classes: request.punt_classes,
            related: request.related,
            ring_kb: (bytes >> 10) as u32,
            budget: request.budget,
            is_over: false,
        };
        let id = self.take_id();
        tracing::info!(
            target: "capture",
            "{} (pid {}) captures on {}: '{}'", peer.tool, peer.pid, capture.interfaces.join(", "), capture.expression
        );
        // There are never more parts than attachments, so each worker has room.
        let mut parts = 0;
        for (number, lane) in lanes.into_iter().enumerate() {
            let (filter, sight) = (filter.clone(), sight.clone());
            let tap = Tap::new(id, filter, sight, terms.clone(), ration.clone(), lane);
            let added = match self.workers.get(number) {
                Some(worker) => worker.taps.add(tap),
                None => self.beside.add(tap),
            };
            parts += usize::from(added);
        }
        self.add(id, peer, Kind::Capture(capture), attachment, parts, now);
        Ok(Response {
            answer: Ok(Reply::CaptureStarted(control::message::CaptureStarted {
                id,
                interfaces: chosen,
            })),
            descriptors,
        })
    }

    /// The interfaces that a request names.
    fn choose(&self, names: &[String]) -> Result<Vec<&AttachmentInterface>, ControlError> {
        let all = means_all(names);
        let by_name = |name: &String| self.interfaces.iter().find(|there| is_called(there, name));
        let unknown = names.iter().find(|name| by_name(name).is_none());
        if let (false, Some(unknown)) = (all, unknown) {
            let names = self.interfaces.iter().take(INTERFACES);
            let names: Vec<_> = names.map(|there| there.interface.name.as_str()).collect();
            return Err(ControlError::new(
                ErrorCode::UnknownInterface,
                format!(
                    "there is no interface '{unknown}', nor a port at such a PCI address: there are {}",
                    names.join(", ")
                ),
            ));
        }
        let is_meant = |there: &&AttachmentInterface| all || names.iter().any(|name| is_called(there, name));
        let chosen: Vec<_> = self.interfaces.iter().filter(is_meant).collect();
        if chosen.len() > INTERFACES {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "{} interfaces are too many for a capture: name at most {INTERFACES} of them with -i",
                    chosen.len()
                ),
            ));
        }
        Ok(chosen)
    }

    /// The memory that a capture gets, bytes.
    fn bytes_for(&self, ring_kb: Option<u32>) -> Result<usize, ControlError> {
        let Some(wanted) = ring_kb else {
            return Ok(self.bytes);
        };
        let bytes = (wanted as usize).saturating_mul(1024);
        if bytes > self.bytes {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                format!(
                    "{wanted} KB are more than an attachment has, {} KB: ask for fewer, or raise attachment_mb in [limits]",
                    self.bytes >> 10
                ),
            ));
        }
        Ok(bytes)
    }

    /// Ends the capture of a connection; what is in it can still be taken.
    pub fn stop_capture(&mut self, connection: u64) -> Result<(), ControlError> {
        let is_it = |attached: &&mut super::Attached| {
            attached.connection == connection && matches!(attached.kind, Kind::Capture(_))
        };
        match self.attached.iter_mut().find(is_it) {
            Some(attached) => {
                attached.end(&self.workers, &self.beside);
                Ok(())
            }
            None => Err(ControlError::new(
                ErrorCode::NotFound,
                "this connection has no capture: start one first",
            )),
        }
    }

    /// Says, once for each, which captures leave packets out as there are too many for their budget.
    pub(super) fn tell_of_budgets(&mut self) {
        for attached in &mut self.attached {
            let Kind::Capture(capture) = &mut attached.kind else {
                continue;
            };
            let Budget {
                max_pps,
                max_mbps,
                sample,
            } = capture.budget;
            // A sample leaves packets out in any case.
            let is_told = capture.is_over || sample.is_some() || (max_pps, max_mbps) == (None, None);
            if !is_told && attached.attachment.counts().unsampled > 0 {
                capture.is_over = true;
                tracing::info!(
                    target: "capture",
                    "{} (pid {}) is over the budget of its capture, which takes a part of the packets from now on", attached.tool, attached.pid
                );
            }
        }
    }

    /// All captures, to be shown.
    pub fn captures(&self, now: Duration) -> Vec<CaptureInfo> {
        let info = |attached: &super::Attached| {
            let Kind::Capture(capture) = &attached.kind else {
                return None;
            };
            let counts = attached.attachment.counts();
            Some(CaptureInfo {
                id: attached.id,
                tool: attached.tool.clone(),
                pid: attached.pid,
                uid: attached.uid,
                interfaces: capture.interfaces.clone(),
                points: capture.points.clone(),
                expression: capture.expression.clone(),
                snaplen: capture.snaplen as u32,
                queue: capture.queue,
                drop_reasons: capture.drop_reasons.clone(),
                punt_classes: capture.punt_classes.clone(),
                related: capture.related,
                ring_kb: capture.ring_kb,
                budget: capture.budget,
                age_s: now.saturating_sub(attached.begun).as_secs(),
                seen: counts.seen,
                matched: counts.matched,
                lost: counts.lost,
                unsampled: counts.unsampled,
            })
        };
        self.attached.iter().filter_map(info).collect()
    }
}

/// Whether an interface has this name, or is the port of a device at this PCI address, with or without its domain.
fn is_called(there: &AttachmentInterface, name: &str) -> bool {
    let device = there.interface.device.split(',').next().unwrap_or_default();
    let is_device = || {
        let short = device.strip_prefix("0000:");
        there.is_port
            && (device.eq_ignore_ascii_case(name)
                || short.is_some_and(|short| short.eq_ignore_ascii_case(name)))
    };
    there.interface.name == name || name.contains(':') && is_device()
}

/// A set of reasons by their names; `None` for all.
fn reasons(names: &[String]) -> Result<Option<Arc<[bool; DropReason::COUNT]>>, ControlError> {
    let mut set = [false; DropReason::COUNT];
    for name in names {
        let found = DropReason::ALL.iter().find(|reason| reason.name() == name);
        let reason = found.ok_or_else(|| {
            ControlError::new(
                ErrorCode::Invalid,
                format!("nothing is dropped as '{name}': 'tollgate-ctl drop show' has the reasons"),
            )
        })?;
        set[*reason as usize] = true;
    }
    Ok((!names.is_empty()).then(|| Arc::new(set)))
}

fn classes(named: &[PuntClass]) -> Option<[bool; PuntClass::COUNT]> {
    (!named.is_empty()).then(|| PuntClass::ALL.map(|class| named.contains(&class)))
}

/// A budget that can be kept.
fn checked(budget: Budget) -> Result<Budget, ControlError> {
    let refused = |what: &str| {
        ControlError::new(
            ErrorCode::Invalid,
            format!("{what} cannot be 0: leave it out, or give 1 or more"),
        )
    };
    if budget.max_pps == Some(0) {
        return Err(refused("the packets per second of a capture"));
    }
    if budget.max_mbps == Some(0) {
        return Err(refused("the megabits per second of a capture"));
    }
    if budget.sample.is_some_and(|sample| sample.every == 0) {
        return Err(refused("the N of a sample of 1/N"));
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use control::message::CaptureInterface;
    use control::message::{Sample, SampleBy};
    use packet::MacAddress;

    use super::*;

    #[test]
    fn a_port_has_the_name_of_its_pci_address_with_or_without_the_domain() {
        let called = |device: &str, is_port, name: &str| {
            let interface = CaptureInterface {
                index: 0,
                name: "wan".to_owned(),
                device: device.to_owned(),
                mac: MacAddress::ZERO,
                speed_mbps: 0,
            };
            let there = AttachmentInterface {
                interface,
                mtu: 1500,
                is_port,
            };
            is_called(&there, name)
        };
        for name in ["wan", "0000:3b:00.1", "3b:00.1", "3B:00.1"] {
            assert!(called("0000:3b:00.1,queues=4", true, name), "{name}");
        }
        for name in ["WAN", "3b:00.0", "0000:3b:00.1,queues=4", ""] {
            assert!(!called("0000:3b:00.1,queues=4", true, name), "{name}");
        }
        // A tunnel's device is a sentence, and may have an address.
        assert!(!called("2001:db8::1", false, "2001:db8::1"));
        assert!(called("0001:3b:00.1", true, "0001:3b:00.1") && !called("0001:3b:00.1", true, "3b:00.1"));
        assert!(!called("net_null0", true, "net_null0"), "that is no PCI address");
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_in_a_sentence() {
        let names = |names: &[&str]| reasons(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert!(names(&[]).unwrap().is_none());
        let set = names(&["no_route", "ttl_expired"]).unwrap().unwrap();
        assert_eq!(set.iter().filter(|is_in| **is_in).count(), 2);
        assert!(set[DropReason::NoRoute as usize]);
        assert!(names(&["ttl"]).unwrap_err().message.contains("'ttl'"));
        let none = Budget::default();
        let sample = Some(Sample {
            every: 0,
            by: SampleBy::Packet,
        });
        for budget in [
            Budget {
                max_pps: Some(0),
                ..none
            },
            Budget {
                max_mbps: Some(0),
                ..none
            },
            Budget { sample, ..none },
        ] {
            assert!(
                checked(budget).unwrap_err().message.contains("cannot be 0"),
                "{budget:?}"
            );
        }
        assert_eq!(checked(none), Ok(none));
    }
}
