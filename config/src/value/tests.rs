//! Forms that are accepted, forms that are not, and the order of values.

use proptest::prelude::*;

use super::parse::{parse, plausible};
use super::*;
use crate::grammar::{Family, Kind, Ty};

/// The canonical form, or nothing.
fn read(ty: Ty, text: &str) -> Option<String> {
    parse(ty, text).ok().map(|value| value.to_string())
}

#[test]
fn what_each_type_accepts() {
    let good = [
        (Ty::Int(0, 65535), "0", "0"),
        (Ty::Int(0, 65535), "007", "7"),
        (Ty::Int(1, u32::MAX), "4294967295", "4294967295"),
        (Ty::Port, "0", "any"),
        (Ty::Port, "any", "any"),
        (Ty::Ports, "8000-8100", "8000-8100"),
        (Ty::Ports, "80-80", "80"),
        (Ty::Addr(Family::Any), "2001:DB8:0::1", "2001:db8::1"),
        (Ty::Addr(Family::V4), "10.0.0.1", "10.0.0.1"),
        (Ty::Net(Family::Any), "0.0.0.0/0", "0.0.0.0/0"),
        (Ty::NetOrHost, "10.0.0.1", "10.0.0.1/32"),
        (Ty::IfAddr(Family::V4), "10.0.0.1/24", "10.0.0.1/24"),
        (Ty::IfAddr(Family::Any), "fe80::7/64", "fe80::7/64"),
        (Ty::Mask, "255.255.255.0", "255.255.255.0"),
        (Ty::Mask, "24", "24"),
        (Ty::Mac, "0200.0000.00aF", "02:00:00:00:00:af"),
        (Ty::If, "eth0.4094", "eth0.4094"),
        (Ty::If, "bond12", "bond12"),
        (Ty::Host, "pool.ntp.org", "pool.ntp.org"),
        (Ty::Host, "2001:db8:0:0::1", "2001:db8::1"),
        (Ty::Codes, "200-299,304", "200-299,304"),
        (Ty::Url, "scp://backup@192.0.2.98/lb1", "scp://backup@192.0.2.98/lb1"),
        (Ty::Hash, "$6$rounds=5000$salt$hash", "$6$rounds=5000$salt$hash"),
        (Ty::Lines, "a\nb", "\"a\\nb\""),
    ];
    for (ty, text, canonical) in good {
        assert_eq!(read(ty, text).as_deref(), Some(canonical), "{ty:?} {text}");
        assert!(plausible(ty, text), "{ty:?} {text}");
    }
}

#[test]
fn what_each_type_refuses() {
    let bad = [
        (Ty::Int(0, 65535), "65536 -1 +1 1e3 0x10 99999999999999999999 ４"),
        (Ty::Port, "65536 an any1 -1 80- 8O"),
        (Ty::Ports, "0 80-79 80-70000 80- -80 any-any"),
        (Ty::Addr(Family::V4), "10.0.0.256 10.0.0 2001:db8::1 010.0.0.1 10.0.0.1/24"),
        (Ty::Addr(Family::V6), "10.0.0.1 2001:db8::1%eth0 :::1"),
        (Ty::Net(Family::V4), "10.0.0.1/24 10.0.0.0/33 10.0.0.0/ 10.0.0.0/+8 10.0.0.0 ::/0"),
        (Ty::IfAddr(Family::Any), "0.0.0.0/8 255.255.255.255/32 224.0.0.1/4 ff02::1/128 10.0.0.1/0 10.0.0.1"),
        (Ty::IfAddr(Family::V6), "fe80::1/64 febf::1/10"),
        (Ty::Mask, "0 129 255.0.255.0 0.0.0.0"),
        (
            Ty::Mac,
            "01:00:5e:00:00:01 00:00:00:00:00:00 02:00:00:00:00 02:00:00:00:00:0g 02:00:00:00:00:001 0200.0000.00",
        ),
        (Ty::If, "eth eth01 eth1000 eth0.0 eth0.4095 eth0.1.2 ens3 Eth0 lo0 bond eth-1"),
        (Ty::Name, "-a .a a/b größe a:b"),
        (Ty::Host, "10.0.0.256 1.2.3 -a.b a..b a_b-.c"),
        (Ty::Codes, "99 600 200-100 200, ,200 200-299-304"),
        (Ty::Url, "run ftp:// ://x scp://user:secret@host/x"),
        (
            Ty::Hash,
            "$5$a$b $6$a $6$a$b$c $6$$b $6$a$b:0 $6$rounds=1$a$ $6$rounds=999$a$b $6$rounds=1000001$a$b $6$rounds=abc$a$b plain",
        ),
        (Ty::Base64, "a:b a,b"),
        (Ty::Zone, "Europe/Ma:drid ../ /etc/hostname"),
    ];
    for (ty, texts) in bad {
        for text in texts.split(' ') {
            assert_eq!(read(ty, text), None, "{ty:?} {text}");
        }
    }
    assert_eq!(read(Ty::Name, &"a".repeat(64)), None);
    assert_eq!(read(Ty::Text, "\u{1b}[2J"), None, "terminals obey such text");
    assert_eq!(read(Ty::Text, "a\nb"), None, "one line");
}

#[test]
fn order_is_the_one_a_person_expects() {
    let names = ["2", "10", "A", "a", "a1", "a01", "a2", "a10", "a10b", "web-1"];
    for pair in names.windows(2) {
        let [low, high] = [pair[0], pair[1]].map(|text| text.parse::<Name>().expect("a name"));
        assert!(low < high || (pair == ["a1", "a01"] && low != high), "{pair:?}");
    }
    let mut ports: Vec<IfName> =
        ["eth10", "eth2", "bond0.20", "lo", "eth2.3", "bond0"].map(|text| text.parse().expect("a port")).into();
    ports.sort();
    assert_eq!(
        ports.iter().map(IfName::as_str).collect::<Vec<_>>(),
        ["bond0", "bond0.20", "eth2", "eth2.3", "eth10", "lo"]
    );
}

#[test]
fn prefixes() {
    let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
    assert_eq!(net("10.1.2.3/8").network(), net("10.0.0.0/8"));
    assert_eq!(net("2001:db8::1/0").network(), net("::/0"));
    assert!(net("10.0.0.0/8").contains("10.255.0.1".parse().expect("an address")));
    assert!(!net("0.0.0.0/0").contains("::1".parse().expect("an address")));
    assert!(net("10.0.0.0/8").overlaps(&net("10.1.0.0/16")) && net("10.1.0.0/16").overlaps(&net("10.0.0.0/8")));
    assert!(!net("10.0.0.0/16").overlaps(&net("10.1.0.0/16")));
    assert!(net("10.0.0.1/32").is_host() && !net("::1/32").is_host());
    assert_eq!("eth3.20".parse::<IfName>().expect("a VLAN").vlan(), Some(("eth3".parse().expect("a port"), 20)));
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let hash: SecretHash = "$6$salt$hash".parse().expect("a hash");
    assert!(!format!("{:?}", Value::Hash(hash)).contains("salt"));
}

proptest! {
    #[test]
    fn canonical_text_is_read_back(text in "\\PC{0,20}") {
        let types = [
            Ty::Int(0, u32::MAX), Ty::Addr(Family::Any), Ty::Host, Ty::Net(Family::Any), Ty::Port, Ty::Ports, Ty::Mask,
            Ty::Mac, Ty::Name, Ty::Ref(Kind::Monitor), Ty::If, Ty::Zone, Ty::Codes, Ty::Hash,
        ];
        for ty in types {
            if let Ok(value) = parse(ty, &text) {
                prop_assert_eq!(parse(ty, &value.to_string()), Ok(value));
            }
        }
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(a in "[a-b0-2.]{0,6}", b in "[a-b0-2.]{0,6}", c in "[a-b0-2.]{0,6}") {
        let [a, b, c] = [a, b, c].map(Word);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        if a <= b && b <= c {
            prop_assert!(a <= c, "{:?} {:?} {:?}", a, b, c);
        }
    }
}
