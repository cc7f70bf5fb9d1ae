//! The fields of `struct rte_mbuf`, by the offsets that C gives for the installed DPDK.

use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

/// A view of one segment's fields.
///
/// Whoever makes one with [`Header::new`] promises that the mbuf stays allocated, and its own, while the view is in
/// use: this is what makes every access here sound.
#[derive(Clone, Copy)]
pub(super) struct Header(NonNull<rte_mbuf>);

impl Header {
    /// # Safety
    /// `mbuf` is allocated and belongs to the caller, who keeps it so while the view is in use. Setters need that
    /// belonging to be exclusive.
    #[inline(always)]
    pub(super) unsafe fn new(mbuf: NonNull<rte_mbuf>) -> Self {
        Self(mbuf)
    }

    #[inline(always)]
    fn read<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the mbuf is allocated (see `new`); callers pass the offset of a field whose width c/shim.h has
        // checked to be that of T, and fields are aligned.
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast::<T>().read() }
    }

    #[inline(always)]
    fn write<T: Copy>(self, offset: u32, value: T) {
        // SAFETY: as in `read`, and the mbuf belongs to the caller alone (see `new`).
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast::<T>().write(value) }
    }

    /// Where the segment's data starts.
    #[inline(always)]
    pub(super) fn data(self) -> *mut u8 {
        self.read::<*mut u8>(dpdk_sys::SHIM_MBUF_BUF_ADDR)
            .wrapping_add(self.headroom())
    }

    /// Bytes before the data (data_off).
    #[inline(always)]
    pub(super) fn headroom(self) -> usize {
        usize::from(self.read::<u16>(dpdk_sys::SHIM_MBUF_DATA_OFF))
    }

    /// Bytes of data in this segment (data_len).
    #[inline(always)]
    pub(super) fn data_len(self) -> usize {
        usize::from(self.read::<u16>(dpdk_sys::SHIM_MBUF_DATA_LEN))
    }

    /// Bytes after the data.
    #[inline(always)]
    pub(super) fn tailroom(self) -> usize {
        let size = usize::from(self.read::<u16>(dpdk_sys::SHIM_MBUF_BUF_LEN));
        size.saturating_sub(self.headroom() + self.data_len())
    }

    /// Sets where the data starts and how long it is. The caller keeps both within the segment's buffer, whose size
    /// is 16 bits wide.
    #[inline(always)]
    pub(super) fn set_data(self, headroom: usize, len: usize) {
        self.write(dpdk_sys::SHIM_MBUF_DATA_OFF, headroom as u16);
        self.write(dpdk_sys::SHIM_MBUF_DATA_LEN, len as u16);
    }

    /// Bytes in the whole packet (pkt_len); right in the first segment only.
    #[inline(always)]
    pub(super) fn packet_len(self) -> usize {
        self.read::<u32>(dpdk_sys::SHIM_MBUF_PKT_LEN) as usize
    }

    #[inline(always)]
    pub(super) fn set_packet_len(self, len: usize) {
        self.write(dpdk_sys::SHIM_MBUF_PKT_LEN, len as u32);
    }

    /// The next segment's fields. It is part of the same packet and so belongs to whom this one belongs.
    #[inline(always)]
    pub(super) fn next(self) -> Option<Self> {
        NonNull::new(self.read::<*mut rte_mbuf>(dpdk_sys::SHIM_MBUF_NEXT)).map(Self)
    }

    /// Ends the packet at this segment and answers what came after it.
    pub(super) fn take_next(self) -> Option<NonNull<rte_mbuf>> {
        let next = self.next();
        self.write(dpdk_sys::SHIM_MBUF_NEXT, std::ptr::null_mut::<rte_mbuf>());
        next.map(|next| next.0)
    }

    /// Has `rest` follow this segment, which was the last. It belongs to the same packet from now on.
    pub(super) fn set_next(self, rest: NonNull<rte_mbuf>) {
        self.write(dpdk_sys::SHIM_MBUF_NEXT, rest.as_ptr());
    }

    /// Segments of the packet (nb_segs); right in the first segment only.
    #[inline(always)]
    pub(super) fn segment_count(self) -> u16 {
        self.read(dpdk_sys::SHIM_MBUF_NB_SEGS)
    }

    pub(super) fn set_segment_count(self, count: u16) {
        self.write(dpdk_sys::SHIM_MBUF_NB_SEGS, count);
    }

    #[inline(always)]
    pub(super) fn set_port(self, port: u16) {
        self.write(dpdk_sys::SHIM_MBUF_PORT, port);
    }

    #[inline(always)]
    pub(super) fn port(self) -> u16 {
        self.read(dpdk_sys::SHIM_MBUF_PORT)
    }

    #[inline(always)]
    pub(super) fn offload_flags(self) -> u64 {
        self.read(dpdk_sys::SHIM_MBUF_OL_FLAGS)
    }

    #[inline(always)]
    pub(super) fn set_offload_flags(self, flags: u64) {
        self.write(dpdk_sys::SHIM_MBUF_OL_FLAGS, flags);
    }

    /// The hash, in two words: the field is aligned as one of them.
    #[inline(always)]
    pub(super) fn hash(self) -> [u32; 2] {
        self.read(dpdk_sys::SHIM_MBUF_HASH)
    }

    #[inline(always)]
    pub(super) fn set_hash(self, hash: [u32; 2]) {
        self.write(dpdk_sys::SHIM_MBUF_HASH, hash);
    }

    #[inline(always)]
    pub(super) fn vlan_tci(self) -> u16 {
        self.read(dpdk_sys::SHIM_MBUF_VLAN_TCI)
    }
}
