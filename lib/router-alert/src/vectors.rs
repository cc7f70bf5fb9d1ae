//! Packets that tests of several modules need, byte by byte.

/// An IPv6 packet of 170 bytes: a hop-by-hop header (next TCP, router alert 5, PadN), a SYN from port 80 to port 80, and 102 bytes of
/// Chinese text. Its TCP checksum is right.
pub(crate) fn syn_with_text() -> Vec<u8> {
    unhex(
        "6000000000820 0ff 20010db800000000021451fffe2f1556 2404680040050803000000000000200e
         0600050200050100
         005000500000000000000000 5002ffff7bba0000
         e8afb7e5b086e7bd91e58da1e79a844d5455e7bca9e5b08fe4b8ba31333030efbc8ce5b9b6e4b894e8b083e695b4e4b88b
         e99da2e79a84e58685e6a0b8e58f82e695b0efbc9a0a6e65742e636f72652e726d656d5f64656661756c74203d203430303338320a",
    )
}

/// What that packet says.
pub(crate) const TEXT: &str =
    "请将网卡的MTU缩小为1300，并且调整下面的内核参数：\nnet.core.rmem_default = 400382\n";

/// An IPv4 packet of 40 bytes, TTL 64: router alert 0, protocol RSVP, and 16 bytes that are no RSVP message.
pub(crate) fn alert_v4() -> Vec<u8> {
    unhex("4600002812340000402e6cedc6336401cb00714d94040000525356502d64656d6f2d646174612121")
}

/// Bytes from hex digits, blanks left out.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .filter_map(|character| character.to_digit(16))
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}
