//! On file systems that are laid down by hand: dosfstools are not on every machine that builds.

use std::fs::File;

use super::*;

/// Sectors before the table, of the table, and all. A cluster is a sector; the first one is number 2.
const RESERVED: u32 = 4;
const TABLE: u32 = 8;
const SECTORS: u32 = 512;

/// A stick: `clusters` is what is in the data area, `chains` what follows which cluster.
fn stick(clusters: &[(u32, Vec<u8>)], chains: &[(u32, u32)]) -> File {
    let file = tempfile::tempfile().expect("temporary file");
    file.set_len(u64::from(SECTORS) * 512).expect("sparse");
    let mut boot = [0; 512];
    boot[11..13].copy_from_slice(&512_u16.to_le_bytes());
    boot[13] = 1;
    boot[14] = u8::try_from(RESERVED).expect("small");
    boot[16] = 1;
    boot[36..40].copy_from_slice(&TABLE.to_le_bytes());
    boot[44] = 2;
    boot[510..].copy_from_slice(&[0x55, 0xaa]);
    file.write_all_at(&boot, 0).expect("writes");
    for (cluster, next) in chains {
        file.write_all_at(&next.to_le_bytes(), u64::from(RESERVED * 512 + cluster * 4)).expect("writes");
    }
    for (cluster, bytes) in clusters {
        file.write_all_at(bytes, u64::from((RESERVED + TABLE + cluster - 2) * 512)).expect("writes");
    }
    file
}

fn entry(name: &[u8; 11], kind: u8, cluster: u8, size: u32) -> Vec<u8> {
    let mut entry = [name.as_slice(), &[kind], &[0; 20]].concat();
    entry[26] = cluster;
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}

/// The entries of a long name, before that with the short one.
fn long(name: &str, short: &[u8; 11]) -> Vec<u8> {
    let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut characters: Vec<u16> = name.encode_utf16().chain([0]).collect();
    characters.resize(characters.len().next_multiple_of(13), 0xffff);
    let parts: Vec<&[u16]> = characters.chunks(13).collect();
    let of = |(number, part): (usize, &&[u16])| {
        let mut entry = vec![0; 32];
        entry[0] = u8::try_from(number + 1).expect("small") | if number + 1 == parts.len() { 0x40 } else { 0 };
        (entry[11], entry[13]) = (0x0f, sum);
        for (at, character) in LONG_CHARACTERS.iter().zip(*part) {
            entry[*at..at + 2].copy_from_slice(&character.to_le_bytes());
        }
        entry
    };
    parts.iter().enumerate().rev().flat_map(of).collect()
}

const END: u32 = 0x0fff_ffff;

/// A label, a deleted file, a folder and a file of 700 bytes that lies backwards.
fn usual() -> File {
    let content: Vec<u8> = (0..700_u32).map(|number| u8::try_from(number % 251).expect("small")).collect();
    let root = [
        entry(b"STICK      ", LABEL, 0, 0),
        entry(b"\xe5LD     UPD", 0x20, 9, 5),
        long("yoke-x86_64.update", b"YOKE-X~1UPD"),
        entry(b"YOKE-X~1UPD", 0x20, 6, 700),
        entry(b"NEW        ", FOLDER, 4, 0),
    ];
    let folder = [entry(b".          ", FOLDER, 4, 0), entry(b"A       BIN", 0x20, 0, 0)];
    stick(
        &[(2, root.concat()), (4, folder.concat()), (6, content[..512].to_vec()), (3, content[512..].to_vec())],
        &[(2, END), (4, END), (6, 3), (3, END)],
    )
}

#[test]
fn a_file_is_found_by_either_name_and_read_along_its_chain() {
    for name in ["yoke-x86_64.update", "YOKE-X86_64.UPDATE", "yoke-x~1.upd", "/yoke-x86_64.update"] {
        let fat = Fat::open(Box::new(usual())).expect("is one");
        let found = fat.file(name).expect("is there");
        let mut bytes = Vec::new();
        fat.read(found).read_to_end(&mut bytes).expect("reads");
        assert_eq!(bytes.len(), 700, "{name}");
        assert!((0..700).all(|at| usize::from(bytes[at]) == at % 251), "{name}");
    }
    assert_eq!(Fat::open(Box::new(usual())).expect("is one").file("new/a.bin").expect("is there").size, 0);
}

#[test]
fn what_is_not_there_is_named() {
    let fat = Fat::open(Box::new(usual())).expect("is one");
    for (name, why) in [
        ("nothing", "has no nothing"),
        ("old.upd", "has no old.upd"),
        ("stick", "has no stick"),
        ("new", "has no file new"),
        ("", "has no file "),
        ("new/nothing", "has no new/nothing"),
        ("yoke-x86_64.update/x", "has no yoke-x86_64.update/x"),
    ] {
        assert_eq!(fat.file(name).expect_err("is not there").to_string(), why);
    }
}

#[test]
fn damage_is_an_error_and_never_a_circle() {
    let circle = stick(&[(2, entry(b"A          ", 0x20, 3, 9).repeat(16))], &[(2, 2)]);
    assert_eq!(
        Fat::open(Box::new(circle)).expect("is one").file("b").expect_err("a circle").to_string(),
        "is damaged: a folder has no end"
    );
    for (start, chains) in [(3, vec![(3, END)]), (3, vec![(3, 0)]), (3, vec![(3, 0x0fff_0000)]), (0, vec![])] {
        let short = stick(&[(2, entry(b"A          ", 0x20, start, 2000))], &[vec![(2, END)], chains.clone()].concat());
        let fat = Fat::open(Box::new(short)).expect("is one");
        let file = fat.file("a").expect("is there");
        assert!(fat.read(file).read_to_end(&mut Vec::new()).is_err(), "{chains:?}");
    }
    // A file in a circle ends with its size.
    let circle = stick(&[(2, entry(b"A          ", 0x20, 3, 2000))], &[(2, END), (3, 3)]);
    let fat = Fat::open(Box::new(circle)).expect("is one");
    let file = fat.file("a").expect("is there");
    assert_eq!(fat.read(file).read_to_end(&mut Vec::new()).expect("ends"), 2000);
}

#[test]
fn another_file_system_is_refused() {
    for (at, byte) in [(510, 0), (13, 0), (12, 0xff), (36, 0), (22, 9), (13, 255)] {
        let file = usual();
        if (at, byte) == (13, 255) {
            file.write_all_at(&4096_u16.to_le_bytes(), 11).expect("writes");
        }
        file.write_all_at(&[byte], at).expect("writes");
        assert_eq!(Fat::open(Box::new(file)).expect_err("refused").to_string(), "is no FAT32", "{at}");
    }
    assert!(Fat::open(Box::new(tempfile::tempfile().expect("temporary file"))).is_err(), "an empty one");
}
