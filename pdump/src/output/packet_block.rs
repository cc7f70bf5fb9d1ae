//! Enhanced Packet Blocks (draft-ietf-opsawg-pcapng section 4.3), put straight into the buffer: there are millions a second.
//!
//! ```text
//!   type 6 | length | interface | time, high | low | captured | original | data, to 4 bytes | options | length
//! ```

/// Type of the block.
const ENHANCED_PACKET: u32 = 6;

/// Bytes of the block before the data, and behind the options.
const HEAD: usize = 28;
const TAIL: usize = 4;

/// Option codes.
const END: u16 = 0;
pub(crate) const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const DROP_COUNT: u16 = 4;
pub(crate) const PACKET_ID: u16 = 5;
pub(crate) const QUEUE: u16 = 6;
/// The format has no option for a worker; codes from 0x8000 on are everybody's own.
pub(crate) const WORKER: u16 = 0x8001;

/// epb_flags, bits 0 and 1.
pub(crate) const INBOUND: u32 = 1;
pub(crate) const OUTBOUND: u32 = 2;

/// What is known of a packet besides its bytes. What is 0, `None` or empty is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    /// epb_flags: which way it went.
    pub(super) flags: u32,
    /// epb_packetid: the same wherever it was seen.
    pub(super) id: u64,
    /// epb_queue: of the port.
    pub(super) queue: Option<u16>,
    /// The worker that saw it, if one did.
    pub(super) worker: Option<u16>,
    /// epb_dropcount: packets lost right before it.
    pub(super) lost_before: u32,
    /// opt_comment.
    pub(super) comment: &'a str,
}

/// Puts a packet of an interface of this section into `bytes`. Times are in nanoseconds.
#[inline]
pub(super) fn put(
    bytes: &mut Vec<u8>,
    interface: u32,
    time_ns: u64,
    wire_length: u32,
    data: &[u8],
    about: &About<'_>,
) {
    let begin = bytes.len();
    bytes.reserve(HEAD + data.len() + about.comment.len() + 72);
    // Its length is known at the end.
    let [high, low] = [time_ns >> 32, time_ns & 0xffff_ffff].map(|half| half as u32);
    let words = [
        ENHANCED_PACKET,
        0,
        interface,
        high,
        low,
        data.len() as u32,
        // Less than there is of it cannot be.
        wire_length.max(data.len() as u32),
    ];
    let mut head = [0; HEAD];
    for (place, word) in head.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(data);
    pad(bytes, data.len());
    if about.flags != 0 {
        option(bytes, FLAGS, &about.flags.to_ne_bytes());
    }
    if about.lost_before != 0 {
        option(bytes, DROP_COUNT, &u64::from(about.lost_before).to_ne_bytes());
    }
    if about.id != 0 {
        option(bytes, PACKET_ID, &about.id.to_ne_bytes());
    }
    if let Some(queue) = about.queue {
        option(bytes, QUEUE, &u32::from(queue).to_ne_bytes());
    }
    if let Some(worker) = about.worker {
        option(bytes, WORKER, &u32::from(worker).to_ne_bytes());
    }
    if !about.comment.is_empty() {
        option(bytes, COMMENT, about.comment.as_bytes());
        pad(bytes, about.comment.len());
    }
    option(bytes, END, &[]);
    let length = ((bytes.len() + TAIL - begin) as u32).to_ne_bytes();
    bytes.extend_from_slice(&length);
    if let Some(place) = bytes.get_mut(begin + 4..begin + 8) {
        place.copy_from_slice(&length);
    }
}

#[inline]
fn option(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    bytes.extend_from_slice(&code.to_ne_bytes());
    bytes.extend_from_slice(&(value.len() as u16).to_ne_bytes());
    bytes.extend_from_slice(value);
}

/// To the next multiple of four.
#[inline]
fn pad(bytes: &mut Vec<u8>, length: usize) {
    let missing = length.wrapping_neg() % 4;
    bytes.extend_from_slice([0; 3].get(..missing).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::DataLink;
    use pcap_file::Endianness;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::interface_description::{
        InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
    };
    use pcap_file::pcapng::blocks::opt_common::CommonOption;
    use pcap_file::pcapng::{PcapNgReader, PcapNgWriter};
    use proptest::prelude::*;
    use std::time::Duration;

    /// A section with one interface, in nanoseconds.
    fn section() -> Vec<u8> {
        let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::native()).unwrap();
        let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
        interface
            .options
            .push(InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO));
        writer.write_pcapng_block(interface).unwrap();
        writer.into_inner()
    }

    proptest! {
        #[test]
        fn another_reader_finds_what_was_put_in(
            time_ns: u64, more in 0u32..2000, data in proptest::collection::vec(any::<u8>(), 0..100),
            flags in 0u32..3, id in 0u64..3, queue: Option<u16>, worker: Option<u16>, lost_before in 0u32..3, comment in "[a-z ]{0,9}",
        ) {
            let mut bytes = section();
            let wire_length = data.len() as u32 + more;
            let about = About { flags, id, queue, worker, lost_before, comment: &comment };
            for _ in 0..2 {
                put(&mut bytes, 0, time_ns, wire_length, &data, &about);
            }
            let mut found = 0;
            for block in PcapNgReader::new(&bytes[..]).unwrap() {
                let Some(packet) = block.unwrap().into_enhanced_packet() else { continue };
                found += 1;
                prop_assert_eq!(packet.timestamp, Duration::from_nanos(time_ns));
                prop_assert_eq!((packet.original_len, &packet.data[..]), (wire_length, &data[..]));
                let mut rest = packet.options;
                let mut take = |wanted: &dyn Fn(&EnhancedPacketOption<'_>) -> bool| {
                    rest.iter().position(wanted).map(|at| rest.remove(at)).is_some()
                };
                prop_assert_eq!(take(&|option| *option == EnhancedPacketOption::Flags(flags)), flags != 0);
                let lost = u64::from(lost_before);
                prop_assert_eq!(take(&|option| *option == EnhancedPacketOption::DropCount(lost)), lost != 0);
                let unknown = |code, value: Vec<u8>| move |option: &EnhancedPacketOption<'_>| {
                    matches!(option, EnhancedPacketOption::Common(CommonOption::Unknown(option))
                        if option.code == code && *option.value == value)
                };
                prop_assert_eq!(take(&unknown(PACKET_ID, id.to_ne_bytes().to_vec())), id != 0);
                let number = u32::from(queue.unwrap_or_default()).to_ne_bytes().to_vec();
                prop_assert_eq!(take(&unknown(QUEUE, number)), queue.is_some());
                let number = u32::from(worker.unwrap_or_default()).to_ne_bytes().to_vec();
                prop_assert_eq!(take(&unknown(WORKER, number)), worker.is_some());
                let text = CommonOption::Comment(comment.as_str().into());
                prop_assert_eq!(take(&|option| *option == EnhancedPacketOption::Common(text.clone())), !comment.is_empty());
                prop_assert!(rest.is_empty(), "{:?}", rest);
            }
            prop_assert_eq!(found, 2);
        }
    }
}
