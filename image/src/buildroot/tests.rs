//! A finished build in miniature: its directories and file names are Buildroot's, its programs this machine's.

use std::path::{Path, PathBuf};

use super::*;

const KERNEL_OPTIONS: &str = include_str!("../../base/kernel.config");
const MODULES_FRAGMENT: &str = include_str!("../../../buildroot/board/yoke/modules.fragment");

struct Build {
    dir: PathBuf,
    output: Output,
}

impl Drop for Build {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Build {
    /// With every program, module and option that the lists ask for.
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("yoke-buildroot-{name}-{}", std::process::id()));
        files::fresh_dir(&dir).expect("temporary directory");
        let at = |path: &str| dir.join(path);
        let put = |path: &str, content: &str| files::write(&at(path), content, 0o644).expect("writes");

        put("build/linux-headers-6.12.104/.config", "");
        put("build/linux-6.12.104/.config", KERNEL_OPTIONS);
        put("build/linux-6.12.104/arch/x86/boot/bzImage", "kernel");
        for platform in ["i386-pc", "x86_64-efi"] {
            put(&format!("build/grub2-2.14/build-{platform}/grub-core/moddep.lst"), "normal: boot\n");
            put(&format!("build/grub2-2.14/build-{platform}/grub-core/normal.mod"), "");
            put(&format!("build/grub2-2.14/build-{platform}/grub-core/normal.o"), "not for the base");
        }
        let modules = "target/usr/lib/modules/6.12.104";
        let mut dep = String::new();
        for name in Wanted::load().expect("the list").all() {
            put(&format!("{modules}/kernel/{name}.ko"), name);
            dep += &format!("kernel/{name}.ko:\n");
        }
        put(&format!("{modules}/modules.dep"), &dep);
        for index in ["modules.alias", "modules.softdep", "modules.builtin"] {
            put(&format!("{modules}/{index}"), "");
        }
        let paths = packages::parse_list(base::PACKAGES).into_iter().flat_map(|wanted| wanted.paths);
        for path in paths.filter(|path| !path.ends_with("zoneinfo")) {
            put(&format!("target/{path}"), "a program");
        }
        // As Buildroot's tzdata installs them.
        for zones in ["posix", "right"] {
            put(&format!("target/usr/share/zoneinfo/{zones}/UTC"), zones);
        }
        files::link("posix/UTC", &at("target/usr/share/zoneinfo/UTC")).expect("links");
        put("target/usr/lib/firmware/rtl_nic/rtl8168h-2.fw", "firmware");
        put("target/etc/init.d/S50dropbear", "not for a slot");
        let output = Output {
            target: at("target"),
            build: at("build"),
            host: at("host"),
            images: at("images"),
            version: "2026.08".to_owned(),
        };
        Self { dir, output }
    }

    fn base(&self) -> Result<Base> {
        base(&self.output.images, &self.output, &|_| ())
    }
}

fn has(base: &Base, path: &str) -> bool {
    base.dir.join(path).is_file()
}

#[test]
fn a_build_becomes_the_tree_of_the_contract() {
    let build = Build::new("whole");
    let base = build.base().expect("is complete");
    assert_eq!(base.release, "6.12.104");
    for path in [
        "vmlinuz",
        "config",
        "base.json",
        "grub/i386-pc/moddep.lst",
        "grub/x86_64-efi/normal.mod",
        "modules/6.12.104/kernel/ip_vs.ko",
        "root/usr/sbin/nft",
        "root/usr/share/zoneinfo/UTC",
        "root/usr/lib/firmware/rtl_nic/rtl8168h-2.fw",
    ] {
        assert!(has(&base, path), "{path} is missing");
    }
    assert!(!has(&base, "root/etc/init.d/S50dropbear"));
    assert!(!has(&base, "grub/i386-pc/normal.o"));
    let zones = base.dir.join("root/usr/share/zoneinfo");
    assert_eq!(fs::read_to_string(zones.join("UTC")).expect("reads"), "posix");
    assert!(fs::symlink_metadata(zones.join("UTC")).expect("is there").is_file(), "not a link to what is not there");
    assert!(!zones.join("right").exists() && !zones.join("posix").exists());
    let more = build.dir.join("more");
    base.take_modules(&["ip_vs"], &more).expect("all modules are where the base says");
    assert!(more.join("6.12.104/kernel/ip_vs.ko").is_file());
    let again = build.base().expect("is complete");
    assert_eq!(base.id, again.id, "the same build is the same base");
}

/// The program is this test, its loader and libraries are where this machine has them.
#[test]
fn a_program_brings_its_loader_and_its_libraries() {
    let build = Build::new("libraries");
    let target = &build.output.target;
    let this = std::env::current_exe().expect("this program");
    files::copy(&this, &target.join("usr/sbin/nft")).expect("copies");
    files::link("lib", &target.join("usr/lib64")).expect("links");
    let here = [Path::new("/lib/x86_64-linux-gnu"), Path::new("/lib64")];
    let mut open = vec![this];
    while let Some(path) = open.pop() {
        let needs = elf::needs(&fs::read(&path).expect("reads")).expect("an ELF file");
        let loader = needs.loader.iter().filter_map(|path| path.rsplit('/').next());
        for name in loader.chain(needs.libraries.iter().map(String::as_str)) {
            let source = here.iter().map(|dir| dir.join(name)).find(|path| path.exists()).expect("is installed here");
            let copy = target.join("usr/lib").join(name);
            if !copy.exists() {
                files::copy(&source, &copy).expect("copies");
                open.push(source);
            }
        }
    }
    let base = build.base().expect("is complete");
    assert!(has(&base, "root/usr/lib/libc.so.6"));
    // Where the kernel looks for it, which is not where Buildroot keeps it.
    assert!(has(&base, "root/usr/lib64/ld-linux-x86-64.so.2"));

    fs::remove_file(target.join("usr/lib/libc.so.6")).expect("removes");
    let error = format!("{:#}", build.base().expect_err("a library is missing"));
    assert!(error.contains("usr/lib/libc.so.6: Buildroot did not install it"), "{error}");
}

#[test]
fn what_a_build_lacks_is_named() {
    let build = Build::new("lacks");
    let fails = |what: &str| {
        let error = format!("{:#}", build.base().expect_err(what));
        assert!(error.contains(what), "{error}");
    };
    fs::remove_file(build.output.target.join("usr/sbin/nft")).expect("removes");
    fails("usr/sbin/nft: Buildroot did not install it");
    let config = build.output.build.join("linux-6.12.104/.config");
    fs::write(&config, KERNEL_OPTIONS.replace("CONFIG_IP_VS_NFCT=y\n", "")).expect("writes");
    fails("kernel 6.12.104 lacks CONFIG_IP_VS_NFCT=y");
    files::write(&build.output.build.join("linux-6.12.99/arch/x86/boot/bzImage"), "older", 0o644).expect("writes");
    fails("remove the older build");
    fs::remove_dir_all(&build.output.build).expect("removes");
    files::make_dir(&build.output.build).expect("creates");
    fails("no directory linux-* with arch/x86/boot/bzImage in it");
}

/// One list of modules for both bases: the fragment makes what the list names, and nothing else under its name.
#[test]
fn the_kernel_fragment_makes_each_module_of_the_list() {
    let mut made = BTreeSet::new();
    let mut above = Vec::new();
    let mut options = BTreeSet::new();
    for line in MODULES_FRAGMENT.lines().filter(|line| !line.starts_with("### ")) {
        if let Some(name) = line.strip_prefix("# ").filter(|name| !name.contains(' ')) {
            above.push(name.to_owned());
            // One option may make two modules; then the second stands below it.
            made.insert(name.to_owned());
        } else if line.starts_with("CONFIG_") {
            assert!(!above.is_empty(), "{line}: no module stands above it");
            assert!(line.ends_with("=m") || line.ends_with("=y"), "{line}");
            assert!(options.insert(line), "{line} stands there twice");
            above.clear();
        }
    }
    let wanted = Wanted::load().expect("the list");
    let wanted: BTreeSet<String> = wanted.all().map(str::to_owned).collect();
    assert_eq!(made, wanted);
}
