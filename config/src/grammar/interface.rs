//! Lines of `interface NAME`.

use super::{Act, Block, DESCRIPTION, Family, Ty, arg, choice, flag, kw, value};

const NO_DHCP: &str = "dhcp is not available in this release, use an address with its prefix length";

pub(super) static INTERFACE: Block = Block {
    prompt: "config-if",
    nodes: &[
        DESCRIPTION,
        kw("ip", "IPv4").then(&[kw("address", "Address of this interface").then(&[
            kw("dhcp", "Not in this release").act(Act::Refused(NO_DHCP)),
            arg("A.B.C.D/M", Ty::IfAddr(Family::V4), "Address and prefix length, or address and mask").line(),
        ])]),
        kw("ipv6", "IPv6").then(&[kw("address", "Address of this interface").then(&[arg(
            "X:X::X:X/M",
            Ty::IfAddr(Family::V6),
            "Address and prefix length",
        )
        .line()])]),
        kw("mtu", "Largest IP packet in bytes").then(&[value("<68-9216>", Ty::Int(68, 9216), "Bytes")]),
        kw("member", "Make a port part of this bond").then(&[arg("IFNAME", Ty::If, "Port, such as eth1").line()]),
        kw("bond-mode", "How the bond chooses a port to send").then(&[
            choice("802.3ad", "LACP, the switch must speak it too"),
            choice("active-backup", "One port at a time, any switch").default("active-backup"),
            choice("balance-xor", "By addresses, static channel on the switch"),
        ]),
        flag("shutdown", "Take the interface down"),
    ],
};
