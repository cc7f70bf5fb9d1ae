//! `completion` and `man`, both made from the one definition of the command line.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::session::{Session, TOOL};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tollgate-ctl completion bash > /etc/bash_completion.d/tollgate-ctl")]
pub(crate) struct CompletionArguments {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tollgate-ctl man | man -l -\n  tollgate-ctl man route | man -l -")]
pub(crate) struct ManArguments {
    /// The page of this object instead of that of the whole tool
    object: Option<String>,
}

pub(crate) fn completion(arguments: &CompletionArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    Ok(control::tool::print_completion::<Arguments>(
        TOOL,
        arguments.shell,
    )?)
}

pub(crate) fn man(arguments: &ManArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let mut command = Arguments::command();
    command.build();
    if let Some(name) = &arguments.object {
        let object = command.find_subcommand(name).cloned();
        command = object
            .ok_or_else(|| Failure::Usage(format!("there is no object '{name}': see {TOOL} --help")))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(io::stdout().lock().write_all(&page)?)
}
