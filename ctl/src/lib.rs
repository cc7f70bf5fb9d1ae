//! The operator's tool: reads the tables of an instance and asks its primary for changes.
//!
//! ```text
//!   arguments ──► one module per object ──┬─► session ──► tables (shared memory) or control socket
//!                                         └─► present ──► table, JSON, again every --watch seconds
//! ```
//!
//! A library, so that what reads files of operators can be fuzzed.

#![forbid(unsafe_code)]

mod addr;
mod adjacency;
mod arguments;
mod capture;
mod config;
mod conn;
mod counter;
mod drop;
mod failure;
mod ike;
mod instance;
mod laddr;
mod link;
mod log;
mod memory;
mod monitor;
mod neigh;
mod prefix;
mod present;
mod progress;
mod punt;
mod ra;
mod rates;
mod route;
mod route_add;
mod route_file;
mod route_get;
mod route_load;
mod route_words;
mod sa;
mod server;
mod service;
mod session;
mod shell;
mod stage;
mod table;
mod trace;
mod traffic;
mod tunnel;
mod words;
mod worker;

use std::process::ExitCode;

use crate::arguments::{Arguments, Object};
use crate::failure::Failure;
use crate::session::Session;

/// Does what the command line says; gives the status to exit with.
pub fn main() -> ExitCode {
    match Arguments::read(std::env::args_os()) {
        Ok(arguments) => {
            let json = arguments.options.json;
            run(arguments).map_or_else(|failure| failure.report(json), |()| ExitCode::SUCCESS)
        }
        Err(error) => failure::report_usage(&error, std::env::args_os().any(|word| word == "--json")),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let session = Session::new(arguments.options);
    match arguments.object {
        Object::Instance(arguments) => instance::run(&arguments, &session),
        Object::Link(arguments) => link::run(arguments, &session),
        Object::Tunnel(arguments) => tunnel::run(arguments, &session),
        Object::Addr(arguments) => addr::run(arguments, &session),
        Object::Route(arguments) => route::run(arguments, &session),
        Object::Neigh(arguments) => neigh::run(arguments, &session),
        Object::Worker(arguments) => worker::run(&arguments, &session),
        Object::Stage(arguments) => stage::run(&arguments, &session),
        Object::Counter(arguments) => counter::run(&arguments, &session),
        Object::Drop(arguments) => drop::run(&arguments, &session),
        Object::Capture(arguments) => capture::run(&arguments, &session),
        Object::Punt(arguments) => punt::run(&arguments, &session),
        Object::Ra(arguments) => ra::run(arguments, &session),
        Object::Sa(arguments) => sa::run(arguments, &session),
        Object::Ike(arguments) => ike::run(arguments, &session),
        Object::Service(arguments) => service::run(arguments, &session),
        Object::Server(arguments) => server::run(arguments, &session),
        Object::Laddr(arguments) => laddr::run(arguments, &session),
        Object::Conn(arguments) => conn::run(arguments, &session),
        Object::Trace(arguments) => trace::run(arguments, &session),
        Object::Memory(arguments) => memory::run(&arguments, &session),
        Object::Log(arguments) => log::run(arguments, &session),
        Object::Config(arguments) => config::run(&arguments, &session),
        Object::Monitor(arguments) => monitor::run(&arguments, &session),
        Object::Completion(arguments) => shell::completion(&arguments, &session),
        Object::Man(arguments) => shell::man(&arguments, &session),
    }
}

/// The routes in the text of a file for `route load`, or the sentence that says what is wrong in which line of `name`.
pub fn parse_routes(name: &str, text: &[u8]) -> Result<Vec<control::message::Route>, String> {
    let as_written = |name: &str| Some(name.to_owned());
    let contents = route_file::parse(name, text, None, &as_written).and_then(route_file::Contents::whole);
    match contents {
        Ok(contents) => Ok(contents.routes),
        Err(failure) => Err(failure.to_string()),
    }
}

/// The services in the text of a file for `service restore`, or the sentence that says what is wrong in which line of `name`.
pub fn parse_services(name: &str, text: &[u8]) -> Result<Vec<control::message::Service>, String> {
    service::parse(name, text)
}
