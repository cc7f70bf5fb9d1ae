//! `tollgate-primary`: the command line; everything else is in the library of this crate.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use control::instance::{InstanceName, RunDir};
use primary::config::{Config, Overrides};
use primary::plan::Plan;
use primary::start::{self, Start};

const EXAMPLES: &str = "\
Examples:
  tollgate-primary --config blue.toml --check
      Say what is wrong with the file, or what it needs in huge pages
  tollgate-primary --config blue.toml
      Forward until SIGTERM; SIGHUP applies what is different in the file, as 'tollgate-ctl config apply' does
  tollgate-primary --instance blue --netns blue --config blue.toml -- --log-level=pmd:8
      In a network namespace, with an argument for DPDK's EAL

Exit status: 0 ended as told, 1 failed, 2 wrong usage or configuration.";

/// Owns the NICs and tables of one Tollgate instance and forwards packets
#[derive(Parser)]
#[command(name = "tollgate-primary", version = control::VERSION, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    extra: Option<Extra>,

    /// Name of the instance; must agree with [instance] name where both are given
    #[arg(long, short = 'I', env = "TOLLGATE_INSTANCE", value_name = "NAME")]
    instance: Option<InstanceName>,

    /// Where instances keep their lock, socket and description
    #[arg(long, env = "TOLLGATE_RUN_DIR", value_name = "DIR", default_value = RunDir::DEFAULT)]
    run_dir: PathBuf,

    /// The configuration, TOML
    #[arg(long, short, value_name = "FILE", required = true)]
    config: Option<PathBuf>,

    /// Network namespace to enter before EAL starts; must agree with [instance] netns where both are given
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,

    /// Check the configuration and say what it needs, then exit
    #[arg(long)]
    check: bool,

    /// Take devices that carry the host's default route or an ssh connection
    #[arg(long)]
    take_over: bool,

    /// Log more than [log] level says: -v debug of all but DPDK, -vv of DPDK (the module eal) as well
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Arguments for DPDK's EAL, after --
    #[arg(last = true, value_name = "EAL ARGS")]
    eal_args: Vec<String>,
}

#[derive(Subcommand)]
enum Extra {
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the man page in roff
    Man,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.extra {
        Some(Extra::Completion { shell }) => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "tollgate-primary",
                &mut std::io::stdout(),
            );
            return ExitCode::SUCCESS;
        }
        Some(Extra::Man) => {
            let printed = clap_mangen::Man::new(Arguments::command()).render(&mut std::io::stdout());
            return if printed.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        None => {}
    }
    let overrides = Overrides {
        instance: arguments.instance,
        netns: arguments.netns,
        eal_args: arguments.eal_args,
        verbose: arguments.verbose,
    };
    // clap requires it unless a subcommand is given.
    let path = arguments.config.unwrap_or_default();
    let config = match Config::load(&path, &overrides) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    let plan = match Plan::new(&config) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("tollgate-primary: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        print!("{}", plan.report(&config));
        return ExitCode::SUCCESS;
    }
    let start = Start {
        config,
        plan,
        overrides,
        run_dir: RunDir::new(&arguments.run_dir),
        take_over: arguments.take_over,
    };
    match start::run(start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate-primary: {error}");
            ExitCode::FAILURE
        }
    }
}
