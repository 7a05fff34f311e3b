//! Writes a cpio archive in the `newc` format, which is what the kernel unpacks as an initrd
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Everything is root's, has the time 0 and is numbered in the order it was added, so that equal content gives equal bytes.
//! Devices and hard links are not written: the kernel brings `/dev/console` along itself.

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive in memory; the initrd is a few MiB.
#[derive(Debug, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds a directory of mode 0755. The kernel wants a directory before what is in it.
    pub fn add_dir(&mut self, name: &str) {
        self.add(name, S_IFDIR | 0o755, &[]);
    }

    /// Adds a file with the given permission bits.
    pub fn add_file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.add(name, S_IFREG | mode, content);
    }

    /// The finished archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.add(TRAILER, 0, &[]);
        self.bytes
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let inode = self.entries;
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("a file of an initrd is smaller than 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a path is short");
        let links = if mode & S_IFDIR != 0 { 2 } else { 1 };
        self.bytes.extend_from_slice(b"070701");
        // inode, mode, uid, gid, nlink, mtime, size, device (2), rdevice (2), name size, checksum (unused in this format).
        for field in [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Header with name, and content, both end on a multiple of four bytes.
    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_name_and_content_are_aligned() {
        let mut cpio = Cpio::default();
        cpio.add_file("init", 0o755, b"abc");
        let bytes = cpio.finish();
        let text = String::from_utf8_lossy(&bytes);
        let header = "070701\
             00000000000081ED000000000000000000000001000000000000000300000000000000000000000000000000\
             0000000500000000";
        assert_eq!(&text[..110], header);
        assert_eq!(&bytes[110..120], b"init\0\0abc\0");
        assert!(text[120..].starts_with("070701"));
        assert!(text.contains(TRAILER));
        assert_eq!(bytes.len() % 4, 0);
    }
}
