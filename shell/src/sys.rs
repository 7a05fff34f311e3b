//! The two ioctls and the one socket option that no safe wrapper exists for. Nothing else in this room is unsafe.
#![allow(unsafe_code, reason = "ioctls on a terminal, and one integer socket option, have no safe wrapper in nix")]

use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

mod ioctls {
    use nix::libc;

    nix::ioctl_read_bad!(get_window_size, libc::TIOCGWINSZ, libc::winsize);
    nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, libc::winsize);
}

/// Has the kernel set DF on what `socket` sends, and refuse what does not fit (`IP_MTU_DISCOVER` of ip(7) and ipv6(7)).
///
/// # Errors
/// Those of setsockopt(2).
pub(crate) fn set_do_not_fragment(socket: &impl AsFd, ipv6: bool) -> nix::Result<()> {
    let (level, name, value) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
    };
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("an int is small");
    // SAFETY: `value` is an int that lives until the call returns, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast::<libc::c_void>(), length)
    };
    nix::errno::Errno::result(result).map(drop)
}

/// Rows and columns of the terminal `fd`; 0 stands for unknown, as on a serial line nobody has told.
///
/// # Errors
/// Those of ioctl(2): `ENOTTY` when it is no terminal.
pub(crate) fn window_size(fd: &impl AsFd) -> nix::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a valid winsize for the kernel to fill, and lives until the call returns.
    unsafe { ioctls::get_window_size(fd.as_fd().as_raw_fd(), &raw mut size) }?;
    Ok((size.ws_row, size.ws_col))
}

/// Tells the terminal `fd` (and thereby every program on it) how large it is.
///
/// # Errors
/// Those of ioctl(2).
pub(crate) fn set_window_size(fd: &impl AsFd, rows: u16, columns: u16) -> nix::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a valid winsize that the kernel only reads, and lives until the call returns.
    unsafe { ioctls::set_window_size(fd.as_fd().as_raw_fd(), &raw const size) }?;
    Ok(())
}
