//! Records of `/dev/kmsg` (kernel: Documentation/ABI/testing/dev-kmsg), read only. They reach an operator through the log
//! ring; the console belongs to the shell.

use std::time::Duration;

/// Facility of the kernel's own messages (syslog numbers).
const KERNEL: u32 = 0;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, since boot.
    pub at: Duration,
    /// `kernel`; `init` for what stage 1 and the one-shots wrote there.
    pub source: &'static str,
    /// 0 to 7, RFC 5424 §6.2.1.
    pub severity: u8,
    /// The message, without the lines that name its device.
    pub text: String,
}

/// Parses `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT`. `None` for what is not such a record.
#[must_use]
pub fn parse(record: &[u8]) -> Option<Record> {
    let record = String::from_utf8_lossy(record);
    let (head, body) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    let text = body.lines().next().unwrap_or_default();
    let severity = u8::try_from(priority & 7).unwrap_or(7);
    let (source, text) = match priority >> 3 {
        KERNEL => ("kernel", text),
        _ => ("init", text.strip_prefix("init: ").unwrap_or(text)),
    };
    // The kernel writes bytes that are no text as `\x1b`; nothing is left to escape.
    Some(Record { at: Duration::from_micros(micros), source, severity, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_as_the_kernel_writes_them() {
        let record = b"6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n DEVICE=+net:eth0\n";
        let parsed = parse(record).unwrap();
        assert_eq!((parsed.at.as_micros(), parsed.source, parsed.severity), (5_140_900, "kernel", 6));
        assert_eq!(parsed.text, "NET: Registered protocol family 10");
        let parsed = parse(b"14,512,2926467,-;init: root is slot-a on /dev/vda3\n").unwrap();
        assert_eq!((parsed.source, parsed.text.as_str()), ("init", "root is slot-a on /dev/vda3"));
        let with_caller = parse(b"4,1,7,-,caller=T1;x\n").unwrap();
        assert_eq!(with_caller.text, "x");
    }

    #[test]
    fn other_bytes_are_no_record() {
        for bytes in [&b""[..], b";", b"6,339;x", b"a,b,c,d;x", b"\xff\xfe", b"6,1,-2,-;x"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
