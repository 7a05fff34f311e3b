//! The text files are excerpts of Debian's 6.12 kernel.

use proptest::prelude::*;

use super::*;

const DEP: &str = "\
kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko.xz kernel/net/netfilter/nf_conntrack.ko.xz kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko.xz kernel/net/netfilter/nf_conntrack.ko.xz kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/net/netfilter/nf_conntrack.ko.xz: kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko.xz kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko.xz:
kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko.xz:
kernel/lib/libcrc32c.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/virtio/virtio_ring.ko.xz:
";
const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias crc32c crc32c_intel
alias crypto-crc32c crc32c_intel
alias cpu:type:x86,ven*fam*mod*:feature:*0094* crc32c_intel
alias crc32c crc32c_generic
alias crypto-crc32c crc32c_generic
alias net-pf-16-proto-16-family-IPVS ip_vs
alias usb:v0525pA4A[0-2]d*dc*dsc*dp*ic*isc*ip*in* usbnet
";
const SOFTDEP: &str =
    "# Soft dependencies\nsoftdep libcrc32c pre: crc32c\nsoftdep virtio_pci pre: absent post: crc32c_generic\n";

fn index() -> Index {
    Index::parse(DEP, ALIAS, SOFTDEP, "kernel/fs/squashfs/squashfs.ko\nkernel/drivers/char/hw_random/rng-core.ko\n")
}

#[test]
fn needs_come_first_and_soft_ones_bring_every_provider() {
    let order = index().load_order("ip_vs_rr");
    let at = |name: &str| order.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name} not in {order:?}"));
    assert!(at("crc32c_intel") < at("libcrc32c") && at("crc32c_generic") < at("libcrc32c"));
    assert!(at("libcrc32c") < at("nf_conntrack") && at("nf_conntrack") < at("ip_vs") && at("ip_vs") < at("ip_vs_rr"));
    assert_eq!(order.len(), 8, "each once: {order:?}");
}

#[test]
fn soft_dependencies_that_do_not_exist_are_no_fault() {
    assert_eq!(index().load_order("virtio-pci"), ["virtio_ring", "virtio", "virtio_pci", "crc32c_generic"]);
}

#[test]
fn names_resolve_as_modprobe_does() {
    let index = index();
    assert_eq!(index.resolve("ip-vs"), Some(vec!["ip_vs".into()]));
    assert_eq!(index.resolve("squashfs"), Some(vec![]), "part of the kernel");
    assert_eq!(index.resolve("rng_core"), Some(vec![]));
    assert_eq!(index.resolve("net-pf-16-proto-16-family-IPVS"), Some(vec!["ip_vs".into()]));
    assert_eq!(index.resolve("crypto-crc32c"), Some(vec!["crc32c_intel".into(), "crc32c_generic".into()]));
    assert_eq!(index.resolve("nothing"), None);
}

#[test]
fn devices_find_their_drivers_in_one_pass() {
    let devices = ["pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00", "pci:v00008086d00007010sv0sd0bc01sc01i80"];
    let wanted = index().wanted_by(&devices);
    assert_eq!(wanted[0], (devices[0], vec!["virtio_pci".to_owned()]));
    assert_eq!(wanted[1], (devices[1], vec![]));
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("pci:v*d*", "pci:v1d2", true),
        ("pci:v*d*", "pci:v1", false),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("usb:v0525pA4A[0-2]d*", "usb:v0525pA4A1d0010", true),
        ("usb:v0525pA4A[0-2]d*", "usb:v0525pA4A3d0010", false),
        ("usb:p[13579ACE]x", "usb:pCx", true),
        ("net-pf-10", "net_pf_10", true),
        ("?", "", false),
        ("*", "", true),
        ("[", "[", false),
        ("", "", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[ -~\n]{0,200}", name in "[ -~]{0,40}") {
        let index = Index::parse(&text, &text, &text, &text);
        let _ = index.resolve(&name);
        let _ = index.wanted_by(&[&name]);
        let _ = index.load_order(&name);
    }

    #[test]
    fn a_literal_matches_itself_and_a_star_any_tail(name in "[a-z_:0-9]{0,20}", tail in "[a-z]{0,10}") {
        prop_assert!(matches(&name, &name));
        let pattern = format!("{name}*");
        let longer = format!("{name}{tail}");
        prop_assert!(matches(&pattern, &longer));
    }
}
