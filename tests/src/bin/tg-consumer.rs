//! A tool that decides about packets and sends all of them on, to be stopped or killed by a test.

#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use control::{
    instance::RunDir,
    message::{PuntClass, PuntRequest},
    punt::{Answer, Punts},
};

/// How long to wait for a packet before looking again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes the packets of all classes for tools and sends each on, until its primary ends.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The run directory of the primary.
    #[arg(long)]
    run_dir: PathBuf,
    /// The name of its instance.
    #[arg(long)]
    instance: String,
    /// Only watches.
    #[arg(long)]
    observe: bool,
    /// Drops the packets instead of sending them on.
    #[arg(long)]
    swallow: bool,
    /// Prints each frame as hex on a line of its own.
    #[arg(long)]
    print: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("tg-consumer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let directory = RunDir::new(&arguments.run_dir).instance(&arguments.instance.parse()?);
    let classes = PuntClass::ALL.into_iter().filter(|class| class.is_for_tools());
    let request = PuntRequest {
        classes: classes.collect(),
        observe: arguments.observe,
        rules: None,
    };
    let mut punts = Punts::start(&directory, "tg-consumer", request)?;
    eprintln!("ready");
    let mut taken = Vec::new();
    loop {
        punts.receive(PATIENCE, &mut |punted, packet| {
            if arguments.print {
                let hex: String = packet.data.iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{hex}");
            }
            taken.push(punted);
        })?;
        for punted in taken.drain(..) {
            let answer = if arguments.swallow {
                Answer::Drop
            } else {
                Answer::Forward
            };
            punts.answer(punted, answer);
        }
        punts.flush();
    }
}
