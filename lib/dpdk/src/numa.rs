//! NUMA nodes: where memory is to be, and where a device or an lcore is.

use std::fmt;

/// A NUMA node (DPDK: socket), or the indifference to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NumaNode(i32);

impl NumaNode {
    /// No preference; also the node of a device that has none, such as a virtual one.
    pub const ANY: Self = Self(dpdk_sys::SHIM_SOCKET_ID_ANY);

    /// The node with that number, as the kernel counts them in `/sys/devices/system/node`.
    pub const fn new(number: u8) -> Self {
        Self(number as i32)
    }

    /// The node's number, none for [`NumaNode::ANY`].
    pub fn number(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }

    /// From DPDK's form, in which every negative number means any.
    pub(crate) fn from_raw(socket: i32) -> Self {
        if socket < 0 { Self::ANY } else { Self(socket) }
    }

    pub(crate) fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for NumaNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "NUMA node {number}"),
            None => f.write_str("any NUMA node"),
        }
    }
}
