//! Files of captures on a real primary: over its end, in series, and read back.

use std::{fs, path::PathBuf};

use tests::{Primary, read_pcapng, wait_until};

use crate::{LIMIT, capture, datagrams, finish, hosts, is_icmp, is_udp, pings};

#[test]
fn a_capture_goes_on_when_its_primary_was_killed_and_is_back() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let mut primary = hosts.primary("gw").start().unwrap();
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    let (mut process, file) = capture(&primary, folder.path(), "out.pcapng", &["-f", "icmp", "--follow"]);
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    wait_until("that packets are in the file", LIMIT, || {
        Ok((!read_pcapng(&file).unwrap_or_default().is_empty()).then_some(()))
    })
    .unwrap();
    primary.kill();
    process
        .wait_for_stderr("that it waits", LIMIT, |line| {
            line.contains("waiting until it is back")
        })
        .unwrap();
    let before = read_pcapng(&file).unwrap().len();
    let _primary = hosts.primary("gw").start_after(primary).unwrap();
    wait_until("that it captures again", LIMIT, || {
        Ok((process.stderr().matches("capturing on").count() == 2).then_some(()))
    })
    .unwrap();
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    let packets = finish(process, &file);
    assert!(
        before > 10 && packets.len() > before + 10,
        "{before} of {}",
        packets.len()
    );
    assert!(packets.iter().all(is_icmp));
}

/// Packets of a file that the tool reads and writes once more.
fn reread(primary: &Primary, files: &[PathBuf], out: &str) -> usize {
    let mut builder = primary.pdump(&["-f", "udp", "-w", out, "-r"]).unwrap();
    for file in files {
        builder = builder.arg(file);
    }
    let mut process = builder.start().unwrap();
    let status = process.wait(LIMIT).unwrap();
    assert!(status.success(), "{}", process.stderr());
    let packets = read_pcapng(out.as_ref()).unwrap();
    assert!(packets.iter().all(is_udp));
    packets.len()
}

#[test]
fn a_series_of_compressed_files_has_every_packet() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    pings(&hosts, 1).finish(LIMIT).unwrap().assert_all_answered();
    let words = [
        "-i",
        "a0",
        "-f",
        "udp port 9000",
        "-b",
        "packets:400",
        "--compress",
        "zstd",
    ];
    let (mut process, _) = capture(&primary, folder.path(), "out.pcapng", &words);
    datagrams(&hosts, 2000, 10_000);
    let status = process.terminate().unwrap();
    assert!(status.success(), "{}", process.stderr());
    assert!(
        process.stderr().contains(" 2000 written, 0 lost"),
        "{}",
        process.stderr()
    );
    let entries = fs::read_dir(folder.path()).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    let all = folder.path().join("all.pcapng");
    assert_eq!(reread(&primary, &files, all.to_str().unwrap()), 2000);
}
