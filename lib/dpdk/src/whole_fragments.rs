//! Fragments as they came, also from net_af_packet.
//!
//! That driver puts its sockets into a fanout group with `PACKET_FANOUT_FLAG_DEFRAG`, packet(7), and 22.11 has no option against
//! it: the kernel then keeps IPv4 fragments until the packet is whole and hands that over, longer than any MTU, or not at all. A
//! gateway forwards fragments. The group cannot be left again, so the flag is taken out of the one call that sets it: drivers are
//! loaded by `dlopen` and find this function of the program before that of the C library.

use std::ffi::{c_int, c_void};

/// setsockopt(2). For everything but a fanout group it is what the C library's is.
///
/// # Safety
/// `value` points to `length` readable bytes, as for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> c_int {
    let fanout: c_int;
    let is_fanout = (level, name) == (libc::SOL_PACKET, libc::PACKET_FANOUT)
        && length as usize == size_of::<c_int>()
        && !value.is_null();
    let value = if is_fanout {
        // SAFETY: it has as many readable bytes as the caller says, which is a c_int's, aligned or not.
        let asked = unsafe { value.cast::<c_int>().read_unaligned() };
        // Mode and flags are the upper half.
        fanout = asked & !((libc::PACKET_FANOUT_FLAG_DEFRAG as c_int) << 16);
        (&raw const fanout).cast()
    } else {
        value
    };
    // SAFETY: the system call of that name with its five arguments; the kernel checks each, and copies `length` bytes that are
    // readable: the caller's, or those of `fanout`, which lives until the end of this function.
    let result = unsafe { libc::syscall(libc::SYS_setsockopt, socket, level, name, value, length) };
    // 0 or -1, with errno set.
    result as c_int
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    #[test]
    fn other_options_are_set_and_refused_as_ever() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Some(Duration::from_millis(1500));
        socket.set_read_timeout(timeout).unwrap();
        assert_eq!(socket.read_timeout().unwrap(), timeout);
        let group = "192.0.2.1".parse().unwrap();
        let refused = socket.join_multicast_v4(&group, &"127.0.0.1".parse().unwrap());
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}
