//! Lines of `virtual-server NAME` and of its `real-server ADDR PORT`.

use super::{Block, DESCRIPTION, Family, Kind, Node, Ty, arg, choice, flag, kw, value};

static REAL_SERVER: Block = Block {
    prompt: "config-vs-rs",
    nodes: &[
        DESCRIPTION,
        kw("weight", "Scheduling weight")
            .then(&[value("<0-65535>", Ty::Int(0, 65535), "Scheduling weight, 0 drains").default("1")]),
        kw("mode", "Forwarding, if not the virtual server's").then(MODES),
        kw("threshold", "Connection limits").then(&[value(
            "<0-65535>",
            Ty::Int(0, 65535),
            "No new ones above this, 0 is no limit",
        )
        .default("0")
        .then(&[value("<0-65535>", Ty::Int(0, 65535), "New ones again below this (3/4 of upper)")])]),
        HEALTH_CHECK,
        flag("drain", "Keep connections, take no new ones"),
        flag("shutdown", "Leave it out, its connections break"),
    ],
};

pub(super) static VIRTUAL_SERVER: Block = Block {
    prompt: "config-vs",
    nodes: &[
        DESCRIPTION,
        kw("virtual", "What clients talk to").then(&[
            kw("fwmark", "Packets with a firewall mark").val().then(&[value(
                "<1-4294967295>",
                Ty::Int(1, u32::MAX),
                "Mark, set by firewall-mark",
            )
            .then(&[choice("ipv6", "Balance IPv6 packets")])]),
            arg("ADDR", Ty::Addr(Family::Any), "Virtual address").val().then(&[
                kw("tcp", "TCP").val().then(PORT),
                kw("udp", "UDP").val().then(PORT),
                kw("sctp", "SCTP").val().then(PORT),
            ]),
        ]),
        kw("scheduler", "How a real server is chosen").then(SCHEDULERS),
        kw("mode", "How packets reach real servers").then(&[
            choice("nat", "Masquerading: replies return through here").default("nat"),
            choice("dr", "Direct routing: same segment, VIP on server's lo"),
            choice("tun", "Tunnelling: IPIP, GUE or GRE"),
            choice("fullnat", "NAT of both addresses: replies find back here"),
        ]),
        kw("tunnel", "Encapsulation of mode tun").then(&[
            choice("ipip", "IP in IP").default("ipip"),
            kw("gue", "Generic UDP encapsulation").val().then(&[value(
                "<1-65535>",
                Ty::Int(1, 65535),
                "Destination port",
            )
            .then(&[
                choice("csum", "With checksum"),
                choice("nocsum", "Without checksum").default("nocsum"),
                choice("remcsum", "Remote checksum offload"),
            ])]),
            choice("gre", "Generic routing encapsulation")
                .then(&[choice("csum", "With checksum"), choice("nocsum", "Without checksum").default("nocsum")]),
        ]),
        kw("source-nat", "Source addresses of mode fullnat").then(&[
            choice("interface", "Address of the outgoing interface").default("interface"),
            kw("pool", "Pool of local addresses").val().then(&[value(
                "NAME",
                Ty::Ref(Kind::Pool),
                "Name of an ip nat pool",
            )]),
        ]),
        kw("persistence", "Keep a client on one real server").then(&[
            kw("timeout", "How long without a connection").then(&[value(
                "<1-31536000>",
                Ty::Int(1, 31_536_000),
                "Seconds",
            )]),
            kw("netmask", "Clients that count as one").then(&[value(
                "MASK|1-128",
                Ty::Mask,
                "Netmask or prefix length",
            )]),
            kw("engine", "What identifies a client").then(&[choice("sip", "Call-ID of SIP")]),
        ]),
        flag("one-packet", "Schedule every UDP packet by itself"),
        HEALTH_CHECK,
        kw("redundancy", "Active only while a vrrp group is").then(&[value(
            "GROUP",
            Ty::Ref(Kind::VrrpGroup),
            "Name of a vrrp group",
        )]),
        kw("quorum", "Real servers needed to be up").then(&[value("<1-65535>", Ty::Int(1, 65535), "Sum of weights")
            .default("1")
            .then(&[kw("hysteresis", "Damping").val().then(&[value(
                "<0-65535>",
                Ty::Int(0, 65535),
                "Sum of weights",
            )
            .default("0")])])]),
        kw("sorry-server", "Where clients go when quorum is lost").then(&[arg(
            "ADDR",
            Ty::Addr(Family::Any),
            "Address of the sorry server",
        )
        .val()
        .then(&[value("1-65535|any", Ty::Port, "Port").then(&[kw(
            "mode",
            "Forwarding, if not the virtual server's",
        )
        .val()
        .then(MODES)])])]),
        flag("inhibit-on-failure", "A failed server gets weight 0, not removed"),
        kw("slow-start", "A server that is back gets its weight bit by bit").then(&[value(
            "<1-3600>",
            Ty::Int(1, 3600),
            "Seconds until it has all of it",
        )]),
        flag("fail-open", "All failed at once: balance as if none had"),
        flag("shutdown", "Leave it out, its connections break"),
        kw("real-server", "A server behind the virtual server").then(&[arg(
            "ADDR",
            Ty::Addr(Family::Any),
            "Address of the real server",
        )
        .then(&[arg("1-65535|any", Ty::Port, "Port").block(&REAL_SERVER)])]),
    ],
};

const PORT: &[Node] = &[value("1-65535|any", Ty::Port, "Port")];

const HEALTH_CHECK: Node = kw("health-check", "How real servers are judged")
    .then(&[choice("none", "Always up"), value("NAME", Ty::Ref(Kind::Monitor), "Name of a health-monitor")]);

/// Without a default: absent means the mode of the virtual server.
const MODES: &[Node] = &[
    choice("nat", "Masquerading: replies return through here"),
    choice("dr", "Direct routing: same segment, VIP on server's lo"),
    choice("tun", "Tunnelling: IPIP, GUE or GRE"),
    choice("fullnat", "NAT of both addresses: replies find back here"),
];

const HASH_FLAGS: &[Node] = &[
    choice("port", "Hash the client's port too"),
    choice("fallback", "Go on when the chosen one is not available"),
    choice("port-fallback", "Both"),
];

const SCHEDULERS: &[Node] = &[
    choice("rr", "Round robin"),
    choice("wrr", "Weighted round robin"),
    choice("lc", "Least connections"),
    choice("wlc", "Weighted least connections").default("wlc"),
    choice("lblc", "Locality-based least connections"),
    choice("lblcr", "The same with replication"),
    choice("dh", "Destination hashing"),
    choice("sh", "Source hashing").then(HASH_FLAGS),
    choice("mh", "Maglev hashing").then(HASH_FLAGS),
    choice("sed", "Shortest expected delay"),
    choice("nq", "Never queue"),
    choice("fo", "Weighted failover"),
    choice("ovf", "Weighted overflow"),
    choice("twos", "Better of two random ones"),
];
