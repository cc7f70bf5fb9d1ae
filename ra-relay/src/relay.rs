//! The loop: takes packets from the primary, judges them, and gives the verdicts back.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use control::message::CaptureInterface;
use control::punt::{Answer, AttachmentError, Punted, Punts, Stage};
use router_alert::handler::Handler;

use crate::config::Config;
use crate::failure::Failure;
use crate::judge::{Cause, Judge, Verdict};
use crate::lines::Lines;
use crate::report::Report;

/// How long it sleeps at most before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Relays until `stopped` says so or the primary ends; what was counted is in `report` either way.
///
/// # Errors
///
/// The primary ended, or the lines could not be written.
pub fn run<W: Write>(
    punts: &mut Punts,
    config: &Config,
    lines: &mut Lines<W>,
    report: &mut Report,
    stopped: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let interfaces = punts.interfaces().to_vec();
    let judge = Judge::new(config, |name| {
        let interface = interfaces.iter().find(|interface| interface.name == name)?;
        Some(interface.index)
    });
    let mut answers: Vec<(Punted, u16, Verdict, Vec<u8>)> = Vec::new();
    let mut spare: Vec<Vec<u8>> = Vec::new();
    while !stopped() {
        let mut written = Ok(());
        let received = punts.receive(LOOK, &mut |punted, packet| {
            let interface = name_of(&interfaces, packet.interface);
            let mut frame = spare.pop().unwrap_or_default();
            let judgement = judge.judge(packet.data, packet.interface, &mut frame);
            report.count(&judgement);
            if let Cause::Rule(rule) = judgement.cause
                && judge.handler(rule) == Some(&Handler::Log)
            {
                let name = report.rules.get(rule).map_or("", |(name, _)| name.as_str());
                let now = Instant::now();
                let said = lines.packet((packet.data, &judgement), (interface, name), packet.time_ns, now);
                written = std::mem::replace(&mut written, Ok(())).and(said);
            }
            report.took.add(nanoseconds_since(packet.time_ns));
            answers.push((punted, packet.interface, judgement.verdict, frame));
        });
        // Verdicts first: packets do not wait for lines.
        for (punted, interface, verdict, frame) in answers.drain(..) {
            let answer = match verdict {
                Verdict::Forward => Answer::Forward,
                Verdict::Drop => Answer::Drop,
                Verdict::Replace => Answer::Replace {
                    stage: Stage::Input,
                    interface,
                    frame: &frame,
                },
            };
            punts.answer(punted, answer);
            spare.push(frame);
        }
        punts.flush();
        report.suppressed = lines.suppressed();
        ended(received)?;
        written.and_then(|()| lines.flush())?;
    }
    Ok(())
}

fn ended(received: Result<usize, AttachmentError>) -> Result<(), Failure> {
    received.map(drop).map_err(Failure::from)
}

/// The name of the interface of an index.
fn name_of(interfaces: &[CaptureInterface], index: u16) -> &str {
    interfaces
        .iter()
        .find(|interface| interface.index == index)
        .map_or("?", |interface| interface.name.as_str())
}

/// From a moment since 1970 until now; 0 if that is still to come.
fn nanoseconds_since(time_ns: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    now.saturating_sub(time_ns)
}
