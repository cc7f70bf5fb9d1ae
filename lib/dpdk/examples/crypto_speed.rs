//! Gbit/s of text that one thread seals and opens, in bursts of 32, beside `dpdk-test-crypto-perf` if that is installed.
//!
//! `cargo run --release -p dpdk --example crypto_speed` needs no hugepages. The two take turns, so that what else the
//! machine does is the same to both; shown are the best and the median of the rounds.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use dpdk::crypto::{
    Aead, Auth, Cipher, Config, Device, Direction, Job, Queue, Session, SessionPool, Transform,
};
use dpdk::{Eal, Mbuf, NumaNode, Pool};

type Answer<T> = Result<T, Box<dyn Error>>;

const SIZES: [usize; 3] = [64, 512, 1408];
const BURST: usize = 32;
const ROUNDS: usize = 5;
/// For each size in each round.
const SPAN: Duration = Duration::from_millis(100);
/// As many as `dpdk-test-crypto-perf` has by default, so that they do not all stay in the same cache.
const PACKETS: u32 = 8192;
const SESSIONS: u32 = 1000;
/// Headers of Ethernet, IPv4 and ESP, and an initialisation vector.
const HEADERS: u16 = 14 + 20 + 8 + 8;
const KEY: [u8; 32] = [0x42; 32];

/// Sums of one way of doing it: Gbit/s by size, of each round.
type Rates = [Vec<f64>; SIZES.len()];

struct Setting<'eal> {
    packets: Vec<Mbuf>,
    gcm: SessionPool,
    mb: SessionPool,
    queue: Queue,
    _eal: &'eal Eal,
}

fn main() -> Answer<()> {
    // EAL leaves its runtime directory behind: this one goes with the program.
    let directory = tempfile::tempdir()?;
    dpdk::set_runtime_directory(directory.path())?;
    let eal = Eal::init(&[
        "--no-huge",
        "--no-shconf",
        "--no-telemetry",
        "--no-pci",
        "-m",
        "256",
        "-l",
        "0",
    ])?;
    measure(&eal)?;
    eal.shutdown()?;
    Ok(())
}

fn measure(eal: &Eal) -> Answer<()> {
    let config = Config {
        queues: 1,
        descriptors: 256,
        node: NumaNode::ANY,
    };
    let (gcm, _) = Device::open(eal, "crypto_aesni_gcm0", &config)?;
    let (mb, mut queues) = Device::open(eal, "crypto_aesni_mb0", &config)?;
    let pool = Pool::new(eal, "packets", PACKETS, 0, Pool::DATA_ROOM, NumaNode::ANY)?;
    let text = [0; SIZES[2] + HEADERS as usize + 64];
    let packet = || {
        let mut mbuf = pool.alloc().ok_or("the pool is empty")?;
        mbuf.append(&text)?;
        Ok::<_, Box<dyn Error>>(mbuf)
    };
    let mut setting = Setting {
        packets: (0..PACKETS).map(|_| packet()).collect::<Answer<_>>()?,
        gcm: SessionPool::new(&gcm, "gcm", SESSIONS + 8, NumaNode::ANY)?,
        mb: SessionPool::new(&mb, "mb", SESSIONS + 8, NumaNode::ANY)?,
        queue: queues.pop().ok_or("the device has no queue")?,
        _eal: eal,
    };
    println!(
        "{:<44}{:>16}{:>16}{:>16}",
        "Gbit/s, best / median", "64 B", "512 B", "1408 B"
    );
    for way in [Direction::Seal, Direction::Open] {
        compare(
            &mut setting,
            "AES-GCM-128, crypto_aesni_gcm",
            false,
            &aead(Aead::AesGcm, &KEY[..16]),
            way,
        )?;
        compare(
            &mut setting,
            "AES-GCM-256, crypto_aesni_gcm",
            false,
            &aead(Aead::AesGcm, &KEY),
            way,
        )?;
        compare(
            &mut setting,
            "AES-GCM-256, crypto_aesni_mb",
            true,
            &aead(Aead::AesGcm, &KEY),
            way,
        )?;
        compare(
            &mut setting,
            "ChaCha20-Poly1305",
            true,
            &aead(Aead::ChaCha20Poly1305, &KEY),
            way,
        )?;
        compare(&mut setting, "AES-CBC-256, HMAC-SHA-256", true, &CBC, way)?;
    }
    many_sessions(&mut setting)?;
    installs(&setting)
}

fn aead(algorithm: Aead, key: &[u8]) -> Transform<'_> {
    Transform::Aead {
        algorithm,
        key,
        aad_len: 8,
    }
}

const CBC: Transform = Transform::Chain {
    cipher: Cipher::AesCbc,
    cipher_key: &KEY,
    auth: Auth::HmacSha256,
    auth_key: &KEY,
    clear_head: 0,
    clear_tail: 0,
};

fn jobs(size: usize) -> [Job; BURST] {
    let end = HEADERS + size as u16;
    std::array::from_fn(|packet| Job {
        packet: packet as u16,
        start: HEADERS,
        end,
        digest: end,
        ..Job::default()
    })
}

/// Gbit/s of `burst`, which is called with 32 packets, others each time.
fn rate(packets: &mut [Mbuf], size: usize, mut burst: impl FnMut(&mut [Mbuf])) -> f64 {
    let (begin, mut bursts) = (Instant::now(), 0);
    while begin.elapsed() < SPAN {
        for packets in packets.chunks_exact_mut(BURST) {
            burst(packets);
        }
        bursts += packets.len() / BURST;
    }
    (bursts * BURST * size * 8) as f64 / begin.elapsed().as_nanos() as f64
}

/// One line for us, and one for `dpdk-test-crypto-perf`. What is opened is not genuine, which costs the same.
fn compare(
    setting: &mut Setting,
    name: &str,
    by_mb: bool,
    transform: &Transform,
    way: Direction,
) -> Answer<()> {
    let sessions = if by_mb { &setting.mb } else { &setting.gcm };
    let mut session = sessions.session(transform, way)?;
    let (mut ours, mut theirs) = (Rates::default(), Rates::default());
    for _ in 0..ROUNDS {
        for (size, rates) in SIZES.into_iter().zip(&mut ours) {
            let mut jobs = jobs(size);
            rates.push(rate(&mut setting.packets, size, |packets| {
                session.process(packets, &mut jobs);
            }));
        }
        for (rates, rate) in theirs.iter_mut().zip(crypto_perf(by_mb, transform, way)) {
            rates.push(rate);
        }
    }
    let way = if way == Direction::Seal {
        "sealed"
    } else {
        "opened"
    };
    line(&format!("{name}, {way}"), &mut ours);
    line("    dpdk-test-crypto-perf", &mut theirs);
    Ok(())
}

fn line(name: &str, rates: &mut Rates) {
    print!("{name:<44}");
    for rates in rates {
        rates.sort_by(f64::total_cmp);
        match (rates.last(), rates.get(rates.len() / 2)) {
            (Some(best), Some(median)) => print!("{:>16}", format!("{best:.1} / {median:.1}")),
            _ => print!("{:>16}", "-"),
        }
    }
    println!();
}

/// Gbit/s by size of one run of `dpdk-test-crypto-perf`; nothing if that is not there.
fn crypto_perf(by_mb: bool, transform: &Transform, way: Direction) -> Vec<f64> {
    let device = if by_mb {
        "crypto_aesni_mb"
    } else {
        "crypto_aesni_gcm"
    };
    let seal = way == Direction::Seal;
    let operation = if seal { "encrypt" } else { "decrypt" };
    let algorithm = match *transform {
        Transform::Aead { algorithm, key, .. } => {
            let name = match algorithm {
                Aead::AesGcm => "aes-gcm",
                Aead::ChaCha20Poly1305 => "chacha20-poly1305",
            };
            format!(
                "--optype aead --aead-algo {name} --aead-op {operation} --aead-key-sz {} --aead-iv-sz 12 --aead-aad-sz 8 \
                 --digest-sz 16",
                key.len()
            )
        }
        // It opens these from a file of test vectors only.
        Transform::Chain { .. } if !seal => return Vec::new(),
        Transform::Chain { .. } => "--optype cipher-then-auth --cipher-algo aes-cbc --cipher-op encrypt \
             --cipher-key-sz 32 --cipher-iv-sz 16 --auth-algo sha2-256-hmac --auth-op generate --auth-key-sz 32 \
             --digest-sz 16"
            .to_owned(),
    };
    let arguments = format!(
        "-l 0,1 --no-huge --no-shconf --no-telemetry --no-pci -m 256 --vdev {device}0 -- --ptest throughput --devtype \
         {device} {algorithm} --buffer-sz 64,512,1408 --burst-sz 32 --total-ops 300000 --csv-friendly"
    );
    let output = Command::new("dpdk-test-crypto-perf")
        .args(arguments.split_whitespace())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split([',', ';']).map(str::trim).collect();
            columns[0].parse::<u32>().ok()?;
            columns.get(8)?.parse().ok()
        })
        .collect()
}

/// Packets of 512 bytes, each of another session, beside packets of one.
fn many_sessions(setting: &mut Setting) -> Answer<()> {
    let size = 512;
    println!("\nGbit/s, best, {size} B, sealed");
    for (name, by_mb, transform) in [
        ("AES-GCM-256, crypto_aesni_gcm", false, aead(Aead::AesGcm, &KEY)),
        ("AES-CBC-256, HMAC-SHA-256, crypto_aesni_mb", true, CBC),
    ] {
        let sessions = if by_mb { &setting.mb } else { &setting.gcm };
        let mut all = (0..SESSIONS)
            .map(|_| sessions.session(&transform, Direction::Seal))
            .collect::<Result<Vec<Session>, _>>()?;
        let mut jobs = jobs(size);
        let (mut one, mut one_by_one, mut many, mut queued) = (0f64, 0f64, 0f64, 0f64);
        for _ in 0..ROUNDS {
            let packets = &mut setting.packets;
            one = one.max(rate(packets, size, |packets| {
                all[0].process(packets, &mut jobs);
            }));
            one_by_one = one_by_one.max(rate(packets, size, |packets| {
                for job in &mut jobs {
                    all[0].process(packets, std::slice::from_mut(job));
                }
            }));
            let mut next = (0..all.len()).cycle();
            many = many.max(rate(packets, size, |packets| {
                for job in &mut jobs {
                    all[next.next().unwrap_or_default()].process(packets, std::slice::from_mut(job));
                }
            }));
            if by_mb {
                queued = queued.max(by_queue(setting, &all, &jobs[0], size)?);
            }
        }
        println!("{name}");
        println!("    one session, 32 at a time      {one:>8.1}");
        println!("    one session, one at a time     {one_by_one:>8.1}");
        println!("    {SESSIONS} sessions, one at a time   {many:>8.1}");
        if by_mb {
            println!("    {SESSIONS} sessions, by a queue      {queued:>8.1}");
        }
    }
    Ok(())
}

/// As `rate`, each packet by another session, in bursts of 32 that are waited for.
fn by_queue(setting: &mut Setting, all: &[Session], job: &Job, size: usize) -> Answer<f64> {
    let (begin, mut done) = (Instant::now(), 0);
    let mut next = all.iter().cycle();
    let mut back = Vec::with_capacity(setting.packets.len());
    while begin.elapsed() < SPAN {
        for packet in setting.packets.drain(..) {
            let session = next.next().ok_or("there is no session")?;
            setting
                .queue
                .enqueue(packet, session, job, 0)
                .map_err(|refused| format!("{:?}", refused.reason))?;
            while setting.queue.len() >= BURST && setting.queue.dequeue(|packet, _, _| back.push(packet)) > 0
            {
            }
        }
        while !setting.queue.is_empty() {
            setting.queue.dequeue(|packet, _, _| back.push(packet));
        }
        done += back.len();
        std::mem::swap(&mut setting.packets, &mut back);
    }
    Ok((done * size * 8) as f64 / begin.elapsed().as_nanos() as f64)
}

fn installs(setting: &Setting) -> Answer<()> {
    let begin = Instant::now();
    let mut made = 0u32;
    while begin.elapsed() < SPAN {
        let sessions = (0..SESSIONS)
            .map(|_| setting.gcm.session(&aead(Aead::AesGcm, &KEY), Direction::Open))
            .collect::<Result<Vec<_>, _>>()?;
        made += sessions.len() as u32;
    }
    println!(
        "\nsessions made and freed in a second: {:.0}",
        f64::from(made) / begin.elapsed().as_secs_f64()
    );
    Ok(())
}
