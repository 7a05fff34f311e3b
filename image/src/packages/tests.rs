//! Tests on paragraphs as `apt-cache show` prints them.

use super::*;

const INDEX: &str = "\
Package: nftables
Version: 1.1.3-1
Depends: libnftables1 (= 1.1.3-1), libc6 (>= 2.34), debconf | debconf-2.0
Section: net
Size: 10
SHA256: aa
Description: tool
 with a long text:
 indeed

Package: libnftables1
Version: 1.1.3-1
Depends: libc6 (>= 2.38), libgone1
Section: libs
Size: 20
SHA256: bb

Package: libc6
Version: 2:2.41-1
Section: libs
Size: 30
SHA256: cc

Package: debconf
Version: 1
Section: admin
Size: 40
SHA256: dd

Package: linux-image-amd64
Version: 6.12.1-1
Depends: linux-image-6.12.1-amd64 (= 6.12.1-1)
Section: kernel
Size: 1
SHA256: ee

Package: linux-image-6.12.1-amd64
Version: 6.12.1-1
Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Section: kernel
Size: 50
SHA256: ff

Package: linux-base
Version: 4
Section: kernel
Size: 60
SHA256: 00
";

/// What apt-cache would print for these names.
fn show(names: &[String]) -> Result<String> {
    let paragraphs =
        INDEX.split("\n\n").filter(|text| names.iter().any(|n| text.starts_with(&format!("Package: {n}\n"))));
    Ok(paragraphs.collect::<Vec<_>>().join("\n\n"))
}

fn wanted(names: &[&str]) -> Vec<Wanted> {
    names.iter().map(|name| Wanted { name: (*name).to_owned(), paths: Vec::new() }).collect()
}

#[test]
fn dependencies_are_names_by_group() {
    let groups = parse_depends("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, perl:any, x [amd64], ");
    assert_eq!(groups, [vec!["libc6"], vec!["debconf", "debconf-2.0"], vec!["perl"], vec!["x"]]);
    assert!(parse_depends("").is_empty());
}

#[test]
fn libraries_follow_and_helpers_do_not() {
    let packages = resolve(&wanted(&["nftables", "linux-image-amd64"]), &show).expect("resolves");
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["libc6", "libnftables1", "linux-image-6.12.1-amd64", "linux-image-amd64", "nftables"]);
}

#[test]
fn a_package_of_the_list_must_exist() {
    let error = resolve(&wanted(&["nftables", "nosuch"]), &show).expect_err("has no nosuch");
    assert!(error.to_string().contains("package nosuch"));
}

#[test]
fn a_file_counts_only_with_the_hash_of_the_index() {
    let dir = std::env::temp_dir().join(format!("yoke-image-packages-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("temporary directory");
    let mut package = resolve(&wanted(&["libc6"]), &show).expect("resolves").remove(0);
    let file = dir.join("libc6_2%3a2.41-1_amd64.deb");
    fs::write(&file, b"content").expect("writes");
    package.size = 7;
    package.sha256 = sha256(b"content");
    assert_eq!(package.find(&dir), Some(file));
    package.sha256 = sha256(b"other");
    assert_eq!(package.find(&dir), None);
    fs::remove_dir_all(dir).expect("removes");
}

#[test]
fn the_list_has_packages_and_paths() {
    let list = parse_list("# comment\nkernel\n\nbusybox-static usr/bin/busybox # why\n");
    assert_eq!(list[0], Wanted { name: "kernel".into(), paths: vec![] });
    assert_eq!(list[1], Wanted { name: "busybox-static".into(), paths: vec!["usr/bin/busybox".into()] });
    assert_eq!(list.len(), 2);
}

#[test]
fn sha256_is_that_of_fips_180() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn licences_are_short_names() {
    let text = "Files: *\nLicense: GPL-2\n text\n\nFiles: x\nLicense: BSD-3-clause\n\nLicense: GPL-2\n";
    assert_eq!(parse_licences(text).into_iter().collect::<Vec<_>>(), ["BSD-3-clause", "GPL-2"]);
}
