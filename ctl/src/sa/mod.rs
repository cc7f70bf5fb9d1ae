//! `sa`: security associations of ESP shown, installed, replaced and deleted.

mod keys;
mod selector;
mod show;
mod words;

use std::path::Path;

use clap::{Args, Subcommand};
use control::message::{NewSa, Request};

use crate::failure::Failure;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  tollgate-ctl sa
  tollgate-ctl --watch 1 sa show ipsec0
  (umask 077; openssl rand -hex 36 > in.key)
  tollgate-ctl sa add spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes256gcm16 keys in.key esn
  tollgate-ctl sa add spi 0x2000 out src 192.0.2.1 dst 198.51.100.1 tunnel ipsec0 transform aes256gcm16 keys - esn < out.key
  tollgate-ctl sa add spi 0x3000 in src 198.51.100.1 dst 192.0.2.1 tunnel gre0 mode transport transform aes128-sha256 keys in.key \\
      window 128 udp 4500:4500 soft seconds 3300 hard seconds 3600 hard packets 4000000000 \\
      sel src 198.51.100.1 dst 192.0.2.1 proto gre
  tollgate-ctl sa add spi 0x4000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes256gcm16 keys in.key \\
      sel src 10.2.0.0/16 dst 10.1.0.0/16 proto udp dport 53 sel src 10.2.0.0/16 dst 10.1.0.0/16 proto icmp type 8
  tollgate-ctl sa replace spi 0x1000 in src 198.51.100.1 dst 192.0.2.1 tunnel ipsec0 transform aes256gcm16 keys new.key
  tollgate-ctl sa del spi 0x1000 dst 192.0.2.1
  tollgate-ctl sa flush

An SA is known by its SPI and the destination of its packets. It needs a transform: aes128gcm16, aes192gcm16, aes256gcm16,
chacha20poly1305 (RFC 4106, RFC 7634), aes128-sha256, aes128-sha384, aes128-sha512, aes256-sha256, aes256-sha384, aes256-sha512
(RFC 3602, RFC 4868), null-sha256, null-sha384 or null-sha512 (RFC 2410: not encrypted).

Keys are hex digits in a file that nobody else may read, or on stdin: that of the cipher, and behind it 4 bytes of salt
(aes*gcm16, chacha20poly1305) or that of the integrity algorithm. They are shown nowhere, and wiped when their SA goes. Do not
use those of one SA for another one.

Selectors say what its packets may hold; with none, anything. Their source and destination are those of the packet inside:
ADDR, PREFIX or FIRST-LAST; 'type' is that of ICMP or of the mobility header; ports that are 'opaque' are those of packets
without, such as later fragments. A packet may be as late as 'window' says, 32 to 4096 packets (1024 if it says nothing), and is
taken once; with a window of 0, which is for SAs without 'esn', it is taken as often as it comes. Behind 'seq' stands the last
sequence number that was used, sent or received, for an SA that comes from elsewhere. Soft lifetimes are told to those who listen
('tollgate-ctl monitor'), hard ones end the SA. SAs of a tunnel go with it; one that names none protects nothing.

Tunnels of mode esp take SAs of mode tunnel, those of mode gre and ipip that are 'protected' SAs of mode transport. With 'udp' its
packets are in UDP, from SPORT to DPORT, and those that come in are taken at port 4500 only; one that goes out sends a NAT
keepalive when it has sent nothing for 'keepalive' seconds (20 if it says nothing, 0 for never).";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show all SAs, or those of a tunnel
    Show(ShowArguments),
    /// Install an SA
    Add(AddArguments),
    /// Install an SA in place of the one with its SPI and destination, if there is one
    Replace(AddArguments),
    /// Delete an SA, and wipe its keys
    Del(DeleteArguments),
    /// Delete all SAs, and wipe their keys
    Flush,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Only those of this tunnel
    tunnel: Option<String>,
}

#[derive(Debug, Args)]
struct AddArguments {
    /// spi N in|out src ADDR dst ADDR [tunnel NAME] [mode tunnel|transport] transform NAME keys FILE|- [esn] [window N]
    /// [seq N] [udp SPORT:DPORT [keepalive N]] [soft|hard bytes|packets|seconds N]... [sel [src RANGE]
    /// [dst RANGE] [proto PROTO]
    /// [sport N[-M]|opaque] [dport N[-M]|opaque] [type T[/CODE]]]...
    #[arg(required = true, value_name = "SA", num_args = 1..)]
    sa: Vec<String>,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// What it is known by
    #[arg(required = true, value_name = "spi N dst ADDR", num_args = 1..)]
    sa: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let usage = |form| move |message| Failure::Usage(format!("{message}: write {form}"));
    match arguments.verb {
        Some(Verb::Add(added)) => install(&added.sa, false, session),
        Some(Verb::Replace(added)) => install(&added.sa, true, session),
        Some(Verb::Del(deleted)) => {
            let id = words::id(&deleted.sa).map_err(usage(words::ID_FORM))?;
            session.change(Request::SaDelete(vec![id]))
        }
        Some(Verb::Flush) => session.change(Request::SaFlush),
        Some(Verb::Show(shown)) => show::run(&shown, session),
        None => show::run(&arguments.show, session),
    }
}

fn install(words: &[String], replace: bool, session: &Session) -> Result<(), Failure> {
    let wrong = |message| Failure::Usage(format!("{message}: write {}", words::FORM));
    let words::Written { sa, keys, sequence } = words::sa(words).map_err(wrong)?;
    session.refuse_watch()?;
    let keys = keys::read(Path::new(&keys))?;
    let idle = control::sas::idle(&sa);
    let sas = vec![NewSa { sa, keys, sequence }];
    session.change(Request::SaAdd { sas, replace })?;
    if let Some(idle) = idle {
        session.warn(idle);
    }
    Ok(())
}
