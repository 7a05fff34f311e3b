//! Names of capabilities, as capabilities(7) and linux/capability.h number them.

/// In the kernel's order; the position is the number.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// How many there are: numbers above are not asked about.
pub const COUNT: usize = NAMES.len();

/// The set of capabilities with these names, one bit each.
///
/// # Errors
/// A sentence that holds the first unknown name.
pub fn set(names: &[String]) -> Result<u64, String> {
    names.iter().try_fold(0, |set, name| match NAMES.iter().position(|known| known == name) {
        Some(number) => Ok(set | 1 << number),
        None => Err(format!("capability {name}: no such capability")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(set(&["chown".into()]), Ok(1));
        assert_eq!(set(&["net_admin".into(), "net_raw".into()]), Ok(1 << 12 | 1 << 13));
        assert_eq!(set(&["checkpoint_restore".into()]), Ok(1 << 40));
        assert_eq!(set(&[]), Ok(0));
        assert!(set(&["cap_chown".into()]).is_err());
    }
}
