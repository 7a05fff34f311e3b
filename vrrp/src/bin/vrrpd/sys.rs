//! The system calls that neither nix nor socket2 offers: realtime priority, and frames.
#![allow(unsafe_code, reason = "two system calls without a safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Makes the calling thread SCHED_FIFO with `priority`, 1-99. Threads it makes are not.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE.
pub(crate) fn realtime(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: 0 is the calling thread, and the kernel only reads `parameters`, which lives until the call returns.
    let done =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a whole Ethernet frame out of the interface `ifindex` through a packet socket.
///
/// # Errors
/// Those of sendto(2): `ENETDOWN`, `ENXIO`, `ENOBUFS`.
pub(crate) fn send_frame(socket: &impl AsFd, ifindex: u32, frame: &[u8]) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("17"),
        sll_protocol: 0,
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = u32::try_from(size_of::<libc::sockaddr_ll>()).expect("20 bytes");
    // SAFETY: pointer and length describe `frame` and `address`, which the kernel only reads and which outlive the call; the
    // descriptor is borrowed for its duration.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            (&raw const address).cast(),
            length,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
