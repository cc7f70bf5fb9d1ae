//! Sends frames at a rate out of a link, or relays router alerts by a raw socket; see [`tests::socket_relay`].

#![forbid(unsafe_code)]

use std::{
    cell::Cell,
    convert::Infallible,
    error::Error,
    fs::File,
    io::stdin,
    os::fd::AsRawFd,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use tests::{Wire, datagrams::stay_on_one_cpu, socket_relay};

/// Sends frames at a rate, or relays router alerts by a raw socket.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Sends one frame over and over from the first CPU that it may use, and prints how many seconds that took.
    Send {
        /// The link, of this namespace.
        #[arg(long)]
        link: String,
        /// The frame in hex, from the destination MAC address on.
        #[arg(long)]
        frame: String,
        /// Frames per second.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// For how long.
        #[arg(long)]
        milliseconds: u64,
    },
    /// Relays what comes by the raw socket that is its standard input.
    Relay {
        /// Packets by one call.
        #[arg(long, default_value_t = 1)]
        batch: usize,
        /// Prints each packet to nowhere, byte by byte.
        #[arg(long)]
        prints: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Role::Send {
            link,
            frame,
            rate,
            milliseconds,
        } => send(&link, &frame, rate, Duration::from_millis(milliseconds)),
        Role::Relay { batch, prints } => relay(batch, prints).map(|never| match never {}),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tg-alerts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(link: &str, hex: &str, rate: u32, time: Duration) -> Result<(), Box<dyn Error>> {
    let pairs = hex.as_bytes().as_chunks::<2>().0.iter();
    let frame = pairs
        .map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?))
        .collect::<Result<Vec<u8>, Box<dyn Error>>>()?;
    stay_on_one_cpu()?;
    let wire = Wire::open_here(link)?;
    // As many as go by one call.
    let frames = vec![frame; Wire::AT_A_TIME];
    let began = Instant::now();
    let now = Cell::new(Duration::ZERO);
    wire.send_at(
        &frames,
        rate,
        || {
            now.set(began.elapsed());
            now.get()
        },
        || now.get() < time,
    )?;
    println!("{}", began.elapsed().as_secs_f64());
    Ok(())
}

fn relay(batch: usize, prints: bool) -> Result<Infallible, Box<dyn Error>> {
    let nowhere = prints
        .then(|| File::options().write(true).open("/dev/null"))
        .transpose()?;
    eprintln!("ready");
    Ok(socket_relay::relay(stdin().as_raw_fd(), batch, nowhere)?)
}
