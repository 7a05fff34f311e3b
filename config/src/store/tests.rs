//! Power cuts at every step, damaged files, load order.

use std::cell::Cell;

use super::*;

const OLD: &str = "hostname old\n";
const TEXT: &str = "hostname new\nip name-server 192.0.2.53\n";

fn meta(revision: u32) -> Meta {
    let [saved, by, from, firmware] = ["2026-11-21T10:04:11Z", "admin", "192.0.2.7", "1.0.0"].map(str::to_owned);
    Meta { saved, by, from, firmware, revision }
}

/// A directory whose power goes off after some steps: nothing happens any more. The step it happens in is torn: a write
/// leaves half of its bytes.
struct Cut {
    dir: Dir,
    left: Cell<usize>,
}

impl Cut {
    fn step(&self) -> io::Result<()> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left == 0 { Err(io::Error::other("no power")) } else { Ok(()) }
    }
}

impl Flash for Cut {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.dir.read(name)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.left.get() == 0 {
            self.dir.write(name, &bytes[..bytes.len() / 2])?;
        }
        self.step()?;
        self.dir.write(name, bytes)
    }
    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.dir.link(from, to)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.dir.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        self.dir.remove(name)
    }
    fn make_dir(&self, name: &str) -> io::Result<()> {
        self.step()?;
        self.dir.make_dir(name)
    }
    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        self.dir.list(name)
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        self.step()?;
        self.dir.sync(name)
    }
}

fn cut_after(dir: &std::path::Path, steps: usize) -> Store<Cut> {
    Store::over(Cut { dir: Dir::new(dir), left: Cell::new(steps) })
}

#[test]
fn a_cut_at_any_step_of_a_save_leaves_the_old_or_the_new() {
    let mut news = 0;
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.save(OLD, &meta(1), 2, &[], false).unwrap();
        let saved = cut_after(dir.path(), steps).save(TEXT, &meta(2), 2, &[], false);
        // The box boots: no fault, no fallback, one of the two texts.
        let loaded = store.load();
        assert_eq!((loaded.source, loaded.faults), (Source::Startup, vec![]), "step {steps}");
        match loaded.saved.text.as_str() {
            OLD => assert_eq!(news, 0, "the old one came back at step {steps}"),
            TEXT => news += 1,
            other => panic!("step {steps}: {other}"),
        }
        // And the next save works over whatever was left behind.
        store.save("hostname third\n", &meta(3), 2, &[], false).unwrap();
        assert_eq!(store.load().saved.text, "hostname third\n");
        if saved.is_ok() {
            assert!(steps > 6, "every step was cut once");
            break;
        }
    }
    assert!(news > 1);
}

#[test]
fn a_cut_at_any_step_of_an_erase_leaves_all_or_nothing() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.save(OLD, &meta(1), 9, &[], false).unwrap();
        store.save(TEXT, &meta(2), 9, &[], false).unwrap();
        let erased = cut_after(dir.path(), steps).erase();
        let loaded = store.load();
        assert_eq!(loaded.faults, Vec::<String>::new(), "step {steps}");
        match loaded.source {
            Source::Startup => assert_eq!(loaded.saved.text, TEXT),
            Source::Factory => assert_eq!(loaded.saved.text, FACTORY),
            other => panic!("step {steps}: {other}"),
        }
        if erased.is_ok() {
            assert_eq!(loaded.source, Source::Factory);
            break;
        }
    }
}

#[test]
fn the_file_is_the_one_of_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).save("hostname lb1\n", &meta(42), 10, &[], false).unwrap();
    let text = std::fs::read_to_string(dir.path().join(STARTUP)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "! yoke-config 1");
    assert_eq!(lines[1], "! saved 2026-11-21T10:04:11Z by admin from 192.0.2.7 firmware 1.0.0 revision 42");
    // printf 'hostname lb1\nend\n' | sha256sum
    assert_eq!(lines[2], "! sha256 8864c59a83d8a82919d66f2a3eb08d32b7934951d32aeb6c7652fc28d8cd0194");
    assert_eq!(lines[3..], ["hostname lb1", "end"]);
}

#[test]
fn load_falls_back_in_order_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let spoil = |name: &str| {
        let path = dir.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap().replace("hostname", "hostnamf");
        std::fs::write(path, text).unwrap();
    };
    assert_eq!((store.load().source, store.load().faults), (Source::Factory, vec![]));
    store.save(OLD, &meta(1), 9, &[], false).unwrap();
    store.save(TEXT, &meta(2), 9, &[], false).unwrap();
    assert_eq!(store.load().saved.meta, Some(meta(2)));

    spoil(STARTUP);
    let loaded = store.load();
    assert_eq!((loaded.source, loaded.saved.text.as_str()), (Source::Backup, OLD));
    assert_eq!(
        loaded.faults,
        [
            "startup-config: the checksum is wrong",
            "startup-config.bak is used instead, revision 1 saved 2026-11-21T10:04:11Z by admin"
        ]
    );

    std::fs::remove_file(dir.path().join(BACKUP)).unwrap();
    let loaded = store.load();
    assert_eq!((loaded.source, loaded.saved.text.as_str()), (Source::Archive(2), TEXT));
    assert_eq!(loaded.faults.len(), 3);

    spoil("archive/2");
    assert_eq!(store.load().source, Source::Archive(1));
    std::fs::write(dir.path().join("archive/1"), "").unwrap();
    let loaded = store.load();
    assert_eq!((loaded.source, loaded.saved.text.as_str()), (Source::Factory, FACTORY));
    assert_eq!(loaded.faults.last().map(String::as_str), Some("the factory configuration is used instead"));
}

#[test]
fn damaged_and_foreign_files() {
    let good = file::encode("hostname lb1\n", &meta(1), VERSION);
    for cut in 0..good.len() {
        assert!(file::decode(&good[..cut], VERSION).is_err(), "cut at {cut}");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x04;
        // A header may lose a name to a fault; the text is right or refused.
        if let Ok(saved) = file::decode(&bytes, VERSION) {
            assert_eq!(saved.text, "hostname lb1\n", "byte {at}");
        }
    }
    assert_eq!(
        file::decode(b"hostname x\nend\n", VERSION),
        Ok(Saved::bare("hostname x\n")),
        "by hand, taken as current"
    );
    assert_eq!(file::decode(b"end\n", VERSION), Ok(Saved::bare("")));
    assert!(
        file::decode(b"\xff\xfe", VERSION).is_err()
            && file::decode(&[0; 64], VERSION).is_err()
            && file::decode(b"", VERSION).is_err()
    );
}

/// The flash as firmware of another format sees it.
fn of_format(dir: &std::path::Path, format: u32) -> Store {
    Store { format, ..Store::new(dir) }
}

#[test]
fn a_newer_format_alone_is_used_as_far_as_it_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    of_format(dir.path(), 2).save(TEXT, &meta(5), 9, &[], false).unwrap();
    let newer = std::fs::read_to_string(dir.path().join(STARTUP)).unwrap();
    let store = Store::new(dir.path());
    let loaded = store.load();
    assert_eq!((loaded.source, loaded.saved.text.as_str()), (Source::Startup, TEXT));
    assert_eq!(
        loaded.faults,
        ["startup-config is of format 2, newer than this firmware's 1: lines unknown here are rejected"]
    );
    store.save(OLD, &meta(6), 9, &[], false).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("startup-config.v2")).unwrap(), newer);
}

#[test]
fn what_newer_firmware_saves_does_not_strand_the_older_slot() {
    let dir = tempfile::tempdir().unwrap();
    let (older, newer) = (of_format(dir.path(), 1), of_format(dir.path(), 2));
    older.save(OLD, &meta(1), 9, &[], false).unwrap();
    let loaded = newer.load();
    assert_eq!((loaded.source, loaded.saved.version, loaded.faults), (Source::Startup, 1, vec![]), "it knows both");

    // The second save puts one of its own into the backup too.
    for revision in [2, 3] {
        newer.save(TEXT, &meta(revision), 9, &[], false).unwrap();
        let loaded = older.load();
        assert_eq!((loaded.source, loaded.saved.text.as_str()), (Source::Kept(1), OLD));
        assert_eq!(
            loaded.faults,
            [
                "startup-config is of format 2, newer than this firmware's 1",
                "startup-config.v1 is used instead, revision 1 saved 2026-11-21T10:04:11Z by admin"
            ]
        );
    }

    // What the older one saves then is the newest there is: for both.
    older.save("hostname back\n", &meta(4), 9, &[], false).unwrap();
    for store in [&older, &newer] {
        assert_eq!((store.load().source, store.load().saved.text.as_str()), (Source::Startup, "hostname back\n"));
    }
    newer.save(TEXT, &meta(5), 9, &[], false).unwrap();
    assert_eq!(older.load().saved.text, "hostname back\n", "not what it had saved before that");
    newer.erase().unwrap();
    assert_eq!(older.load().source, Source::Factory);
}

#[test]
fn a_cut_at_any_step_of_the_first_save_of_newer_firmware_leaves_both_slots_something() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        // Kept from an earlier try of newer firmware: not what the older one saved last.
        of_format(dir.path(), 1).save("hostname stale\n", &meta(1), 9, &[], false).unwrap();
        of_format(dir.path(), 2).save(TEXT, &meta(2), 9, &[], false).unwrap();
        of_format(dir.path(), 1).save(OLD, &meta(3), 9, &[], false).unwrap();
        let cut = Store { format: 2, ..cut_after(dir.path(), steps) };
        let done = cut.save(TEXT, &meta(4), 9, &[], false).is_ok();
        let (older, newer) = (of_format(dir.path(), 1).load(), of_format(dir.path(), 2).load());
        assert_eq!(older.saved.text, OLD, "after {steps} steps");
        assert!([OLD, TEXT].contains(&newer.saved.text.as_str()), "after {steps} steps");
        assert_eq!(newer.source, Source::Startup, "after {steps} steps");
        if done {
            break;
        }
    }
}

#[test]
fn revisions_are_kept_and_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for revision in 1..=12 {
        assert_eq!(store.next_revision(), revision);
        store.save(&format!("hostname r{revision}\n"), &meta(revision), 3, &[], false).unwrap();
    }
    assert_eq!(store.revisions(), [10, 11, 12]);
    assert_eq!(store.read(Source::Archive(11)).unwrap().text, "hostname r11\n");
    assert!(matches!(store.read(Source::Archive(9)), Err(StoreError::Missing(Source::Archive(9)))));
}

#[test]
fn rejected_lines_are_not_lost_without_force() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let (_, rejected) = crate::tree::load("hostname lb1\nfrobnicate 7\n");
    let refused = store.save(OLD, &meta(1), 3, &rejected, false);
    assert!(matches!(refused, Err(StoreError::Quarantine(1))));
    assert_eq!(store.load().source, Source::Factory);
    store.save(OLD, &meta(1), 3, &rejected, true).unwrap();
    assert_eq!(store.load().source, Source::Startup);
}

#[test]
fn only_the_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).save(OLD, &meta(1), 3, &[], false).unwrap();
    let mode = std::fs::metadata(dir.path().join(STARTUP)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_startup_never_replaces_a_good_backup() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store.save(OLD, &meta(1), 3, &[], false).unwrap();
    store.save(TEXT, &meta(2), 3, &[], false).unwrap();
    std::fs::write(dir.path().join(STARTUP), "! yoke-config 1\n").unwrap();
    store.save("hostname third\n", &meta(3), 3, &[], false).unwrap();
    assert_eq!(store.read(Source::Backup).unwrap().text, OLD);
    assert_eq!(store.read(Source::Startup).unwrap().text, "hostname third\n");
}

/// A directory that has room for so many bytes, and keeps the beginning of a file that is too long.
struct Full(Dir, u64);

impl Full {
    fn used(&self) -> u64 {
        let files = self.0.list("").unwrap_or_default();
        let archive = self.0.list(ARCHIVE).unwrap_or_default();
        let names = files.into_iter().chain(archive.into_iter().map(|name| format!("{ARCHIVE}/{name}")));
        // Backup and startup are names of other files in part; each counts, as the room is the test's to choose.
        names.filter_map(|name| self.0.read(&name).ok()).map(|bytes| bytes.len() as u64).sum()
    }
}

impl Flash for Full {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.1.saturating_sub(self.used())).unwrap_or(usize::MAX);
        self.0.write(name, &bytes[..bytes.len().min(room)])?;
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.link(from, to)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn make_dir(&self, name: &str) -> io::Result<()> {
        self.0.make_dir(name)
    }
    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        self.0.list(name)
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        self.0.sync(name)
    }
}

#[test]
fn a_save_that_found_no_room_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::over(Full(Dir::new(dir.path()), 1500));
    store.save(OLD, &meta(1), 9, &[], false).unwrap();
    let error = store.save(&"ip name-server 192.0.2.53\n".repeat(50), &meta(2), 9, &[], false).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write archive/2.new: ") && error.ends_with("use: archive maximum, with fewer"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(dir.path().join(ARCHIVE)).unwrap().count(), 1, "archive/2.new is gone");
    assert_eq!(store.load().saved.text, OLD);
}

/// A smaller `archive maximum` makes room on a flash that has none for one file more.
#[test]
fn a_full_flash_gives_up_the_revisions_that_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let all = |bytes| Store::over(Full(Dir::new(dir.path()), bytes));
    for revision in 1..=5 {
        all(u64::MAX).save(OLD, &meta(revision), 9, &[], false).unwrap();
    }
    let used = Full(Dir::new(dir.path()), 0).used();
    assert!(all(used).save(TEXT, &meta(6), 9, &[], false).is_err());
    assert_eq!((all(used).load().saved.text.as_str(), all(used).revisions()), (OLD, vec![1, 2, 3, 4, 5]));
    all(used).save(TEXT, &meta(6), 2, &[], false).unwrap();
    assert_eq!((all(used).load().saved.text.as_str(), all(used).revisions()), (TEXT, vec![5, 6]));
}

#[test]
fn a_flash_that_fails_says_what_to_do() {
    for errno in [EIO, 30] {
        let error = failed("cannot write x")(io::Error::from_raw_os_error(errno)).to_string();
        assert!(
            error.starts_with("cannot write x: ") && error.contains("use: reload, which repairs the flash"),
            "{error}"
        );
    }
}
