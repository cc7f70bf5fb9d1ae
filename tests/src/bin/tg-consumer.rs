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
        observe: false,
        rules: None,
    };
    let mut punts = Punts::start(&directory, "tg-consumer", request)?;
    eprintln!("ready");
    let mut taken = Vec::new();
    loop {
        punts.receive(PATIENCE, &mut |punted, _| taken.push(punted))?;
        for punted in taken.drain(..) {
            punts.answer(punted, Answer::Forward);
        }
        punts.flush();
    }
}
