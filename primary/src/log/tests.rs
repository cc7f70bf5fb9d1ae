use std::fs;

use super::*;

fn config(levels: &str, target: LogTarget) -> LogConfig {
    LogConfig {
        levels: levels.parse().unwrap(),
        target,
    }
}

/// A log to a file of its own, and a function that reads the file.
fn log_to_file(levels: &str) -> (Log, LogTarget, impl Fn() -> String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let target = LogTarget::File(path.clone());
    let log = Log::open(&config(levels, target.clone())).unwrap();
    (log, target, move || fs::read_to_string(&path).unwrap(), directory)
}

/// One message of each severity that there is.
fn say_everything(module_is_arp: bool) {
    macro_rules! say {
        ($target:literal) => {{
            tracing::error!(target: $target, emerg = true, "said emerg");
            tracing::error!(target: $target, alert = true, "said alert");
            tracing::error!(target: $target, crit = true, "said crit");
            tracing::error!(target: $target, "said err");
            tracing::warn!(target: $target, "said warning");
            notice!(target: $target, "said notice");
            tracing::info!(target: $target, "said info");
            tracing::debug!(target: $target, "said debug");
        }};
    }
    if module_is_arp { say!("arp") } else { say!("port") }
}

#[test]
fn every_level_lets_through_what_is_as_severe_and_nothing_else() {
    for level in LogLevel::ALL {
        let (log, _, read, _directory) = log_to_file(level.name());
        tracing::subscriber::with_default(log.subscriber(), || say_everything(false));
        let said: Vec<_> = read()
            .lines()
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect();
        let wanted: Vec<_> = LogLevel::ALL
            .iter()
            .filter(|one| **one <= level)
            .map(|one| one.name())
            .collect();
        assert_eq!(said, wanted, "at {level}");
        for line in read().lines() {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (shown, said) = (words.next().unwrap(), line.rsplit(' ').next().unwrap());
            assert_eq!(shown, said, "{line}");
        }
    }
}

#[test]
fn a_level_set_at_run_time_holds_for_its_module_at_once() {
    let (log, _, read, _directory) = log_to_file("err");
    tracing::subscriber::with_default(log.subscriber(), || {
        let count = |module: &str| {
            read()
                .lines()
                .filter(|line| line.contains(&format!(" {module}: ")))
                .count()
        };
        say_everything(true);
        say_everything(false);
        assert_eq!((count("arp"), count("port")), (4, 4));
        log.set(Some("arp"), LogLevel::Debug).unwrap();
        say_everything(true);
        say_everything(false);
        assert_eq!((count("arp"), count("port")), (12, 8));
        log.set(None, LogLevel::Notice).unwrap();
        say_everything(true);
        say_everything(false);
        assert_eq!((count("arp"), count("port")), (20, 14));
    });
    let levels = log.levels();
    assert_eq!(levels["default"], LogLevel::Notice);
    assert_eq!(levels["arp"], LogLevel::Debug);
    assert_eq!(levels["port"], LogLevel::Notice);
    assert_eq!(levels.len(), MODULES.len() + 1);
}

#[test]
fn an_unknown_module_is_answered_with_the_nearest_and_changes_nothing() {
    let (log, _, _read, _directory) = log_to_file("info");
    let before = log.levels();
    let message = log.set(Some("prot"), LogLevel::Debug).unwrap_err().to_string();
    assert!(
        message.contains("'prot'") && message.contains("'port'"),
        "{message}"
    );
    assert_eq!(log.levels(), before);
}

#[test]
fn a_line_has_time_level_module_message_and_fields_and_is_one_line() {
    let (log, _, read, _directory) = log_to_file("info");
    tracing::subscriber::with_default(log.subscriber(), || {
        notice!(target: "port", interface = "wan", speed_mbps = 1000, "link\nup");
    });
    let text = read();
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(rest, "notice  port: link\\nup interface=wan speed_mbps=1000\n");
    assert_eq!(time.len(), "2026-01-02T03:04:05.678Z".len());
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
}

#[test]
fn a_log_file_that_was_moved_away_is_made_anew() {
    let (log, target, read, directory) = log_to_file("info");
    tracing::subscriber::with_default(log.subscriber(), || {
        tracing::info!(target: "arp", "before");
        fs::rename(directory.path().join("log"), directory.path().join("log.1")).unwrap();
        log.apply(PreparedLog::open(&config("debug", target)).unwrap());
        tracing::debug!(target: "arp", "after");
    });
    let lines = read();
    assert!(lines.contains("after") && !lines.contains("before"), "{lines}");
}

#[test]
fn a_target_that_cannot_be_opened_leaves_the_log_as_it_was() {
    let (log, _, read, directory) = log_to_file("info");
    let nowhere = LogTarget::File(directory.path().join("missing/log"));
    let message = PreparedLog::open(&config("debug", nowhere))
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("missing/log"), "{message}");
    tracing::subscriber::with_default(log.subscriber(), || {
        tracing::info!(target: "arp", "still here");
        tracing::debug!(target: "arp", "not wanted");
    });
    assert_eq!(read().lines().count(), 1);
}

#[test]
fn a_target_is_stderr_or_journal_or_a_path() {
    assert_eq!("stderr".parse(), Ok(LogTarget::Stderr));
    assert_eq!("journal".parse(), Ok(LogTarget::Journal));
    assert_eq!(
        "/var/log/x".parse(),
        Ok(LogTarget::File(PathBuf::from("/var/log/x")))
    );
    assert!(
        "jurnal"
            .parse::<LogTarget>()
            .unwrap_err()
            .to_string()
            .contains("journal")
    );
}
