//! `net.ipv4.vs.*` and the parameters of the IPVS module: settings of the kernel, one table of key, value and reason.
//!
//! Only this file writes below `/proc/sys/net/ipv4/vs`; every other sysctl is init's or vrrpd's. A value that is right is not written.
//! Parameters count when the module is loaded, which is once: init's modprobe reads them, and a change waits for the next boot.

use std::fs;
use std::path::Path;

use yoke_config::model::IpvsSettings;

/// A setting and why it has that value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    value: u32,
}

/// The settings a configuration asks for.
pub(crate) fn wanted(ipvs: &IpvsSettings) -> Vec<Setting> {
    let set = |key, value| Setting { key, value };
    let on = u32::from;
    vec![
        // Connection tracking costs every connection 256 bytes and a lookup; no mode that is programmed needs it.
        set("conntrack", 0),
        // A client port that is used again gets a server anew; 0 would pin it to a server that is drained or gone.
        set("conn_reuse_mode", 1),
        set("expire_nodest_conn", on(ipvs.expire_nodest_conn)),
        set("expire_quiescent_template", on(ipvs.expire_quiescent_template)),
        set("sloppy_tcp", on(ipvs.sloppy_tcp)),
        // 1 is "when memory is short", not "always".
        set("drop_entry", on(ipvs.drop_entry)),
        // Rates of `show rate` come from the estimators.
        set("run_estimation", 1),
        // Too large for the tunnel: the client is told, and sends less at once.
        set("pmtu_disc", 1),
    ]
}

/// Writes what differs. A setting this kernel does not have is a sentence for `show warnings`, not a failure.
pub(crate) fn apply(proc: &Path, settings: &[Setting]) -> Vec<String> {
    let directory = proc.join("sys/net/ipv4/vs");
    if !directory.exists() {
        return vec!["sysctl net.ipv4.vs: not there, the kernel has no IPVS".to_owned()];
    }
    settings.iter().filter_map(|setting| set(&directory, *setting).err()).collect()
}

/// What init's modprobe is told of the IPVS module; nothing leaves the kernel's own choice.
pub(crate) fn module_options(ipvs: &IpvsSettings) -> String {
    ipvs.table_bits.map(|bits| format!("options ip_vs conn_tab_bits={bits}\n")).unwrap_or_default()
}

fn set(directory: &Path, Setting { key, value }: Setting) -> Result<(), String> {
    let path = directory.join(key);
    let value = value.to_string();
    let why = |e: std::io::Error| format!("sysctl net.ipv4.vs.{key}: {e}");
    if fs::read_to_string(&path).map_err(why)?.trim() != value {
        fs::write(&path, value).map_err(why)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written_and_a_missing_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let vs = dir.path().join("sys/net/ipv4/vs");
        fs::create_dir_all(&vs).unwrap();
        let settings = wanted(&IpvsSettings { sloppy_tcp: true, ..IpvsSettings::default() });
        for setting in &settings {
            fs::write(vs.join(setting.key), "0\n").unwrap();
        }
        fs::remove_file(vs.join("pmtu_disc")).unwrap();
        let problems = apply(dir.path(), &settings);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("sysctl net.ipv4.vs.pmtu_disc: "), "{problems:?}");
        let read = |key: &str| fs::read_to_string(vs.join(key)).unwrap();
        assert_eq!((read("sloppy_tcp"), read("conn_reuse_mode")), ("1".into(), "1".into()));
        assert_eq!(read("conntrack"), "0\n", "left alone");
        assert_eq!(apply(&dir.path().join("empty"), &settings).len(), 1);
    }
}
