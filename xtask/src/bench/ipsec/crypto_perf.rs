//! A turn of `dpdk-test-crypto-perf`: what the crypto device does with nothing around it.

use ::tests::{RunId, Wait, run};

use super::super::{Bench, START_LIMIT};
use super::{DRIVER, Work};
use crate::error::Error;

/// It is told how many packets to take, not how long: as many as a core takes of itself in the time, more or less.
const EXPECTED: f64 = 40e9;
/// Of the 8 bytes that ESP authenticates beside a packet.
const AAD_BYTES: &str = "8";

impl Bench {
    /// Bits of packets of this length that the device encrypts or decrypts in a second.
    pub(super) fn crypto_perf(&self, work: Work, bytes: usize) -> Result<f64, Error> {
        let time = self.times.warm_up + self.times.measured;
        let packets = (EXPECTED * time.as_secs_f64() / 8.0 / bytes as f64) as u64;
        let mut command = self.privilege.command("dpdk-test-crypto-perf");
        let lcores = format!("0@{},1@{}", self.cores.control, self.cores.measured);
        command
            .args([
                "--lcores",
                &lcores,
                "--file-prefix",
                &RunId::current().unique("perf"),
            ])
            .args(["--no-pci", "--in-memory", "--vdev", DRIVER, "--"])
            .args(["--ptest", "throughput", "--csv-friendly", "--devtype", DRIVER])
            .args([
                "--optype",
                "aead",
                "--aead-algo",
                "aes-gcm",
                "--aead-op",
                work.word(),
            ])
            .args([
                "--aead-key-sz",
                "32",
                "--aead-iv-sz",
                "12",
                "--aead-aad-sz",
                AAD_BYTES,
            ])
            .args([
                "--digest-sz",
                "16",
                "--burst-sz",
                &super::super::BURST.to_string(),
            ])
            .args([
                "--buffer-sz",
                &bytes.to_string(),
                "--total-ops",
                &packets.to_string(),
            ]);
        self.privilege.announce(&command, "starts what is compared with");
        let ended = run(command, Wait::Interruptible(START_LIMIT + 20 * time))?.success()?;
        rate(&ended.stdout).ok_or_else(|| {
            Error::Unexpected(format!(
                "dpdk-test-crypto-perf did not say how fast it was; it said:\n{}",
                ended.stdout
            ))
        })
    }
}

/// Bits per second, of its table: a line of names, and one of figures, Gbit/s last but one.
fn rate(output: &str) -> Option<f64> {
    let mut lines = output.lines();
    let names = lines.find_map(|line| line.strip_prefix("#lcore id,"))?;
    let column = names.split(',').position(|name| name == "Throughput(Gbps)")? + 1;
    let figures = lines.find(|line| line.contains(','))?;
    let figure: f64 = figures.split(',').nth(column)?.trim().parse().ok()?;
    (figure > 0.0).then_some(figure * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_the_table() {
        let output = "Allocated pool \"sess_mp_0\" on socket 0\n#lcore id,Buffer Size(B),Burst Size,Enqueued,Dequeued,Failed Enq,\
                      Failed Deq,Ops(Millions),Throughput(Gbps),Cycles/Buf\n\n1,512,32,2000000,2000000,0,0,15.458,63.317,168.195\n";
        assert_eq!(rate(output), Some(63.317e9));
        for no_table in ["", "EAL: Error\n", "#lcore id,Buffer Size(B)\n1,2\n"] {
            assert_eq!(rate(no_table), None);
        }
    }
}
