//! Sends or receives numbered datagrams inside a namespace; see [`tests::datagrams`].

#![forbid(unsafe_code)]

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tests::datagrams::{Expectation, HEADER, Load, receive, send, stay_on_one_cpu};

/// Sends numbered datagrams, or receives them and says which were lost, repeated or out of order.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Sends, and prints `{sent, seconds, errors}`.
    Send {
        /// Where to.
        #[arg(long)]
        to: SocketAddr,
        /// Number of flows, each with a source port of its own.
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
        flows: u32,
        /// Number of datagrams in all.
        #[arg(long)]
        count: u32,
        /// Datagrams per second.
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// Bytes of UDP payload, 16 at least.
        #[arg(long, default_value_t = HEADER)]
        size: usize,
        /// Tells this run's datagrams from any other's.
        #[arg(long, default_value_t = 0)]
        run: u64,
    },
    /// Receives, says `ready` on stderr, and prints `{received, duplicates, out_of_order, lost, foreign, flows}`.
    Receive {
        /// Address to receive on.
        #[arg(long)]
        bind: SocketAddr,
        /// Number of flows.
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
        flows: u32,
        /// Number of datagrams in all.
        #[arg(long)]
        expect: u32,
        /// Gives up when nothing has arrived for this many seconds.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        timeout: u64,
        /// The run whose datagrams count.
        #[arg(long, default_value_t = 0)]
        run: u64,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Role::Send {
            to,
            flows,
            count,
            rate,
            size,
            run,
        } => stay_on_one_cpu()
            .and_then(|()| {
                send(&Load {
                    to,
                    flows,
                    count,
                    rate,
                    size,
                    run,
                })
            })
            .map(|sent| serde_json::json!(sent)),
        Role::Receive {
            bind,
            flows,
            expect,
            timeout,
            run,
        } => {
            let silence = Duration::from_secs(timeout);
            receive(
                &Expectation {
                    bind,
                    flows,
                    count: expect,
                    silence,
                    run,
                },
                || eprintln!("ready"),
            )
            .map(|report| serde_json::json!(report))
        }
    };
    match done {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tg-datagrams: {error}; is the address right, and is there a route to it?");
            ExitCode::FAILURE
        }
    }
}
