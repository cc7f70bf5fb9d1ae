//! Has a daemon of IKE make IKE SAs, many at a time or one after the other, and says in JSON how long that took.
//!
//! It asks the daemon as `tollgate-ctl ike` does, by one connection: a process for each request would be what is measured.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use control::{
    ike::{IkeClient, IkeReply, IkeRequest, IkeSa, IkeSummary},
    instance::RunDir,
};
use serde_json::json;

/// Between two looks at what is there.
const LOOK: Duration = Duration::from_millis(2);
/// The other end has done what it does behind its last answer.
const AFTER: Duration = Duration::from_millis(4);
/// For one IKE SA, or for any other to come when many are under way.
const LIMIT: Duration = Duration::from_secs(60);

/// Has a daemon of IKE make IKE SAs.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where instances are.
    #[arg(long)]
    run_dir: PathBuf,
    /// The instance of the daemon.
    #[arg(long)]
    instance: String,
    /// The profile whose IKE SAs are made.
    #[arg(long)]
    profile: String,
    #[command(subcommand)]
    command: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Makes one after the other, each deleted before the next. Prints the seconds of each, and of CPU that other processes spent
    /// until one was there, by pid and name of the thread.
    OneByOne {
        /// How many.
        #[arg(long)]
        count: u32,
        /// Processes whose time is taken.
        #[arg(long)]
        pid: Vec<u32>,
    },
    /// Makes more of them without deleting any, and prints how many seconds that took.
    Many {
        /// How many.
        #[arg(long)]
        count: u64,
        /// Under way at a time.
        #[arg(long)]
        at_a_time: u64,
        /// A profile of the daemon's without IKE SAs: what is shown for it is short.
        #[arg(long)]
        quiet: String,
        /// Processes whose time is taken.
        #[arg(long)]
        pid: Vec<u32>,
    },
    /// Deletes all of them.
    Terminate,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tg-ike-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let directory = RunDir::new(&arguments.run_dir).instance(&arguments.instance.parse()?);
    let mut daemon = Daemon {
        client: IkeClient::connect(&directory)?,
        profile: arguments.profile.clone(),
    };
    match &arguments.command {
        Load::OneByOne { count, pid } => one_by_one(&mut daemon, *count, pid),
        Load::Many {
            count,
            at_a_time,
            quiet,
            pid,
        } => many(&mut daemon, *count, *at_a_time, quiet, pid),
        Load::Terminate => daemon.terminate(),
    }
}

fn one_by_one(daemon: &mut Daemon, count: u32, pids: &[u32]) -> Outcome<()> {
    let (mut seconds, mut cpu) = (Vec::new(), Cpu::default());
    for _ in 0..count {
        let before = Cpu::read(pids)?;
        let began = Instant::now();
        daemon.initiate()?;
        daemon.wait("that it is established", |sas| {
            sas.len() == 1 && sas.iter().all(is_complete)
        })?;
        seconds.push(began.elapsed().as_secs_f64());
        thread::sleep(AFTER);
        cpu.add(&Cpu::read(pids)?, &before);
        daemon.terminate()?;
        thread::sleep(AFTER);
    }
    println!("{}", json!({ "seconds": seconds, "cpu": cpu.seconds() }));
    Ok(())
}

fn is_complete(sa: &IkeSa) -> bool {
    sa.state == "established" && !sa.children.is_empty()
}

fn many(daemon: &mut Daemon, count: u64, at_a_time: u64, quiet: &str, pids: &[u32]) -> Outcome<()> {
    let before = daemon.show(quiet)?.1.statistics.authenticated;
    let (mut begun, mut there) = (0, 0);
    let cpu = Cpu::read(pids)?;
    let began = Instant::now();
    let mut last = began;
    while there < count {
        while begun < count && begun - there < at_a_time {
            daemon.initiate()?;
            begun += 1;
        }
        thread::sleep(LOOK);
        let now = daemon.show(quiet)?.1.statistics.authenticated - before;
        if now > there {
            (there, last) = (now, Instant::now());
        } else if last.elapsed() > LIMIT {
            return Err(format!("{there} of {count} IKE SAs are there, and no other comes").into());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut spent = Cpu::default();
    spent.add(&Cpu::read(pids)?, &cpu);
    println!("{}", json!({ "seconds": seconds, "cpu": spent.seconds() }));
    Ok(())
}

/// A daemon that is asked.
struct Daemon {
    client: IkeClient,
    profile: String,
}

impl Daemon {
    fn initiate(&mut self) -> Outcome<()> {
        let profile = self.profile.clone();
        self.client.call(IkeRequest::Initiate { profile })?;
        Ok(())
    }

    fn terminate(&mut self) -> Outcome<()> {
        let profile = self.profile.clone();
        let children_only = false;
        self.client.call(IkeRequest::Terminate {
            profile,
            children_only,
        })?;
        self.wait("that all are gone", <[IkeSa]>::is_empty)
    }

    /// What there is of a profile.
    fn show(&mut self, profile: &str) -> Outcome<(Vec<IkeSa>, IkeSummary)> {
        let request = IkeRequest::Show {
            profile: Some(profile.to_owned()),
            secrets: false,
        };
        let (mut sas, mut summary) = (Vec::new(), None);
        for reply in self.client.call(request)? {
            match reply {
                IkeReply::Sas(page) => sas.extend(page),
                IkeReply::Summary(said) => summary = Some(*said),
                _ => {}
            }
        }
        let summary = summary.ok_or("the daemon answered without a summary: use one of this build")?;
        Ok((sas, summary))
    }

    fn wait(&mut self, what: &str, is_so: impl Fn(&[IkeSa]) -> bool) -> Outcome<()> {
        let profile = self.profile.clone();
        let began = Instant::now();
        loop {
            let (sas, summary) = self.show(&profile)?;
            if is_so(&sas) {
                return Ok(());
            }
            if began.elapsed() > LIMIT {
                let failures = summary.failures;
                return Err(format!("it was waited in vain {what}; the daemon says: {failures:?}").into());
            }
            thread::sleep(LOOK);
        }
    }
}

/// Nanoseconds on a CPU, by process and name of its threads.
#[derive(Default)]
struct Cpu(BTreeMap<(u32, String), u64>);

impl Cpu {
    fn read(pids: &[u32]) -> io::Result<Self> {
        let mut all = Self::default();
        for pid in pids {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let task = task?.path();
                // One that ends meanwhile has spent nothing any more.
                let read = |name| fs::read_to_string(task.join(name)).unwrap_or_default();
                let (name, spent) = (read("comm").trim().to_owned(), read("schedstat"));
                let spent = spent.split(' ').next().and_then(|word| word.parse::<u64>().ok());
                *all.0.entry((*pid, name)).or_default() += spent.unwrap_or_default();
            }
        }
        Ok(all)
    }

    /// Adds what was spent between two readings.
    fn add(&mut self, after: &Self, before: &Self) {
        for (key, after) in &after.0 {
            let before = before.0.get(key).copied().unwrap_or_default();
            *self.0.entry(key.clone()).or_default() += after.saturating_sub(before);
        }
    }

    fn seconds(&self) -> BTreeMap<u32, BTreeMap<&str, f64>> {
        let mut all: BTreeMap<u32, BTreeMap<&str, f64>> = BTreeMap::new();
        for ((pid, name), spent) in &self.0 {
            all.entry(*pid).or_default().insert(name, *spent as f64 / 1e9);
        }
        all
    }
}
