//! A demo that was left up with `--keep`: how it is remembered, and how it is taken down.

use std::{fs, io::ErrorKind, path::PathBuf};

use crate::{
    cargo,
    demo::Stage,
    error::Error,
    host::{Changes, Host},
    progress::{say, step},
    session,
};

/// What is to be undone, as JSON in the target folder.
fn record() -> PathBuf {
    cargo::target().join("demo.json")
}

/// An error if a demo is up already.
pub(crate) fn refuse_if_up() -> Result<(), Error> {
    if record().exists() {
        Err(Error::DemoIsUp)
    } else {
        Ok(())
    }
}

/// Remembers what is up, and says how to look at it and how to take it down.
pub(crate) fn leave_up(stage: Stage, host: Host) -> Result<(), Error> {
    let record = record();
    let ctl = format!(
        "{}{} --run-dir {} --instance {}",
        if session::privilege()? == ::tests::Privilege::Sudo {
            "sudo "
        } else {
            ""
        },
        cargo::programs().join("tollgate-ctl").display(),
        stage.primary.run_dir().display(),
        stage.primary.instance()
    );
    let host_a = stage.hosts.host_a.name().to_owned();
    let changes = host.keep();
    let text = serde_json::json!(changes).to_string();
    if let Err(source) = fs::write(&record, text) {
        drop(stage);
        let error = Error::File {
            action: "write",
            path: record,
            source,
        };
        return changes.undo(session::privilege()?).and(Err(error));
    }
    stage.leave_running();
    step!("it is up; look at it with");
    for question in [
        "link show",
        "route show",
        "route get 192.168.2.2",
        "neigh show",
        "drop show",
        "link show --watch 1",
    ] {
        say!("    {ctl} {question}");
    }
    step!("send something through it, as root");
    say!("    nsenter --net=/run/netns/{host_a} ping 192.168.2.2");
    step!("take it down with");
    say!("    cargo xtask demo --down");
    Ok(())
}

/// Takes down what [`leave_up`] left.
pub(crate) fn take_down() -> Result<(), Error> {
    let record = record();
    let text = fs::read_to_string(&record).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::NoDemo,
        _ => Error::File {
            action: "read",
            path: record.clone(),
            source,
        },
    })?;
    let changes: Changes = serde_json::from_str(&text).map_err(|source| Error::File {
        action: "understand",
        path: record.clone(),
        source: source.into(),
    })?;
    let privilege = session::privilege()?;
    ::tests::binaries::are_in(&cargo::programs());
    step!("taking the demo down");
    let undone = changes.undo(privilege);
    fs::remove_file(&record).map_err(|source| Error::File {
        action: "remove",
        path: record,
        source,
    })?;
    undone
}
