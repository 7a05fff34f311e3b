//! Lines of `vrrp group NAME` and `vrrp sync-group NAME`: what vrrpd does. Accept mode has no line: IPVS balances only what the box accepts.

use super::{Block, DESCRIPTION, Family, Kind, Node, Ty, arg, choice, flag, kw, value};

pub(super) static GROUP: Block = Block {
    prompt: "config-vrrp",
    nodes: &[
        DESCRIPTION,
        kw("vrid", "Number of the virtual router").then(&[arg("<1-255>", Ty::Int(1, 255), "Virtual router id")
            .val()
            .then(&[kw("interface", "Where it is advertised").val().then(&[value("IFNAME", Ty::If, "Interface")])])]),
        kw("version", "Protocol version")
            .then(&[choice("2", "RFC 3768, IPv4, whole seconds"), choice("3", "RFC 9568").default("3")]),
        kw("priority", "Who becomes active").then(&[value("<1-255>", Ty::Int(1, 255), "Higher wins").default("253")]),
        kw("timers", "Timers").then(&[kw("advertise", "Time between advertisements").then(&[value(
            "<10-40950>",
            Ty::Int(10, 40_950),
            "Milliseconds, 100; 1000 in version 2",
        )])]),
        kw("address", "Address of the active router").then(&[arg(
            "ADDR/M",
            Ty::IfAddr(Family::Any),
            "Virtual address",
        )
        .line()
        .then(&[kw("interface", "If not the group's").val().then(&[value("IFNAME", Ty::If, "Interface")])])]),
        flag("preempt", "Take over from a lower priority").then(&[kw("delay", "Wait before taking over")
            .val()
            .then(&[value("<0-1000>", Ty::Int(0, 1000), "Seconds").default("0")])]),
        kw("peer", "Unicast to this router").then(&[arg("ADDR", Ty::Addr(Family::Any), "Address of the peer").line()]),
        kw("source-address", "Sender of advertisements").then(&[value(
            "ADDR",
            Ty::Addr(Family::Any),
            "Address of the interface",
        )]),
        kw("authentication", "Who is believed").then(&[
            kw("text", "Simple text of version 2, readable on the wire").then(&[value(
                "WORD",
                Ty::Word,
                "At most 8 characters",
            )
            .secret()]),
            kw("hmac", "Signed advertisements, as keepalived 2.4.2").then(&[
                kw("key", "A shared key").then(&[arg("<0-255>", Ty::Int(0, 255), "Its number").then(&[value(
                    "WORD",
                    Ty::Word,
                    "32 to 64 characters",
                )
                .secret()])]),
                kw("use", "The key to sign with").then(&[value("<0-255>", Ty::Int(0, 255), "Lowest, if not said")]),
                kw("rollout", "Step of a change to signed advertisements").then(&[
                    choice("receive-only", "Sign nothing, check what is signed"),
                    choice("permissive", "Sign, accept what is not signed"),
                    choice("enforce", "Sign, accept only what is signed").default("enforce"),
                ]),
            ]),
        ]),
        kw("checksum", "Form of version 3 over IPv4").then(&[
            choice("pseudo-header", "As keepalived and FRR").default("pseudo-header"),
            choice("rfc9568", "The message alone"),
            choice("heard", "As the peer does"),
        ]),
        kw("track", "Lower the priority on a fault").then(&[
            kw("director", "When the control plane is dead or deaf").line().then(WEIGHT),
            kw("interface", "When an interface is down")
                .then(&[arg("IFNAME", Ty::If, "Interface").line().then(WEIGHT)]),
            kw("virtual-server", "When one loses its quorum").then(&[arg(
                "NAME",
                Ty::Ref(Kind::VirtualServer),
                "Name of a virtual-server",
            )
            .line()
            .then(WEIGHT)]),
        ]),
        flag("use-vmac", "Own hardware address 00:00:5e:00:01:VRID"),
        flag("shutdown", "Take no part"),
    ],
};

const WEIGHT: &[Node] =
    &[kw("weight", "By how much").val().then(&[value("<1-253>", Ty::Int(1, 253), "Subtracted; fault without weight")])];

pub(super) static SYNC_GROUP: Block = Block {
    prompt: "config-vrrp-sync",
    nodes: &[
        DESCRIPTION,
        kw("member", "A group that fails over with the others").then(&[arg(
            "GROUP",
            Ty::Ref(Kind::VrrpGroup),
            "Name of a vrrp group",
        )
        .line()]),
    ],
};
