//! Lines at the top of a configuration, in the order they are printed.

use super::interface::INTERFACE;
use super::monitor::MONITOR;
use super::virtual_server::VIRTUAL_SERVER;
use super::{Act, Block, Family, Kind, Node, Ty, arg, choice, flag, kw, value, vrrp};

/// Every line outside of blocks, and the headers of blocks.
pub static GLOBAL: &[Node] = &[
    kw("hostname", "Name of this box").then(&[value("NAME", Ty::Name, "Letters, digits, hyphens").default("yoke")]),
    kw("banner", "Text for people who connect").then(&[
        kw("login", "Before login").then(&[value("LINE", Ty::Lines, "Text, \\n inside quotes for a new line")]),
        kw("motd", "After login").then(&[value("LINE", Ty::Lines, "Text, \\n inside quotes for a new line")]),
    ]),
    kw("clock", "Clock").then(&[kw("timezone", "Zone of local time").then(&[value(
        "ZONE",
        Ty::Zone,
        "Such as Europe/Madrid",
    )
    .default("UTC")])]),
    kw("enable", "Privileged mode").then(&[secret("Password of enable")]),
    kw("username", "People who may log in").then(&[arg("NAME", Ty::Name, "Login name").then(&[
        // No default: this line is how a user without a credential exists.
        kw("privilege", "What the user may do").then(&[choice("1", "Look"), choice("15", "Everything")]),
        secret("Password"),
        kw("ssh-key", "Public key for SSH").then(&[
            kw("ssh-ed25519", "Ed25519").then(SSH_KEY),
            kw("ssh-rsa", "RSA").then(SSH_KEY),
            kw("ecdsa-sha2-nistp256", "ECDSA").then(SSH_KEY),
            kw("ecdsa-sha2-nistp384", "ECDSA").then(SSH_KEY),
            kw("ecdsa-sha2-nistp521", "ECDSA").then(SSH_KEY),
            kw("sk-ssh-ed25519@openssh.com", "Ed25519 on a token").then(SSH_KEY),
            kw("sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA on a token").then(SSH_KEY),
        ]),
    ])]),
    kw("line", "Terminals").then(&[kw("console", "Serial and VGA").block(&CONSOLE), kw("vty", "SSH").block(&VTY)]),
    kw("ip", "IPv4, names and SSH").then(&[
        kw("domain-name", "Appended to short names").then(&[value("NAME", Ty::Name, "Domain")]),
        kw("name-server", "DNS server").then(&[arg("ADDR", Ty::Addr(Family::Any), "Address").line()]),
        kw("nat", "Address translation").then(&[
            kw("inside", "Hosts that reach others through this box").then(&[kw(
                "source",
                "They get another source address",
            )
            .then(&[arg("PREFIX", Ty::Net(Family::Any), "Hosts, such as 192.168.0.0/24").then(SOURCE_NAT)])]),
            kw("pool", "Source addresses").then(&[arg("NAME", Ty::Name, "Name of the pool").then(&[value(
                "FIRST",
                Ty::Addr(Family::Any),
                "First address",
            )
            .then(&[
                value("LAST", Ty::Addr(Family::Any), "Last address, same family").then(POOL_REDUNDANCY),
                kw("redundancy", "There only while a vrrp group is active").val().then(POOL_GROUP),
            ])])]),
        ]),
        kw("route", "Static route").then(&[arg("A.B.C.D/M", Ty::Net(Family::V4), "Destination, or address and mask")
            .then(&[arg("A.B.C.D", Ty::Addr(Family::V4), "Gateway").line().then(DISTANCE)])]),
        kw("ssh", "SSH server").then(&[
            kw("access-class", "Who may connect").then(&[arg(
                "PREFIX",
                Ty::Net(Family::Any),
                "Clients, such as 192.0.2.0/24",
            )
            .line()]),
            kw("port", "Where it listens").then(&[value("<1-65535>", Ty::Int(1, 65535), "TCP port").default("22")]),
            flag("shutdown", "No SSH"),
        ]),
    ]),
    kw("ipv6", "IPv6").then(&[kw("route", "Static route").then(&[arg(
        "X:X::X:X/M",
        Ty::Net(Family::V6),
        "Destination",
    )
    .then(&[arg("X:X::X:X", Ty::Addr(Family::V6), "Gateway").line().then(DISTANCE)])])]),
    kw("arp", "Permanent neighbour").then(&[arg("ADDR", Ty::Addr(Family::Any), "Address").then(&[value(
        "MAC",
        Ty::Mac,
        "Such as 02:00:00:00:00:01",
    )])]),
    kw("ntp", "Time").then(&[kw("server", "Time server")
        .then(&[arg("HOST", Ty::Host, "Address or name").line().then(&[choice("prefer", "Before the others")])])]),
    kw("logging", "Log").then(&[
        kw("console", "Messages on the console").then(LEVELS_CONSOLE),
        kw("facility", "What remote hosts sort by").then(FACILITIES),
        kw("host", "Remote syslog").then(&[arg("ADDR", Ty::Addr(Family::Any), "Address").line().then(&[
            choice("tcp", "TCP").then(&[value("<1-65535>", Ty::Int(1, 65535), "Port").default("514")]),
            choice("udp", "UDP").default("udp").then(&[value("<1-65535>", Ty::Int(1, 65535), "Port").default("514")]),
        ])]),
        kw("trap", "Messages to remote hosts").then(LEVELS_TRAP),
    ]),
    kw("snmp-server", "SNMP").later().then(&[kw("community", "Who may read").then(&[arg(
        "WORD",
        Ty::Word,
        "Community",
    )
    .secret()
    .then(&[choice("ro", "Read only").then(&[value("PREFIX", Ty::Net(Family::Any), "Clients")])])])]),
    kw("metrics", "Prometheus text over HTTP").later().then(&[
        kw("port", "Where it listens").then(&[value("<1-65535>", Ty::Int(1, 65535), "TCP port")]),
        kw("access-class", "Who may read").then(&[arg("PREFIX", Ty::Net(Family::Any), "Clients").line()]),
    ]),
    kw("archive", "Earlier configurations").then(&[
        kw("maximum", "How many are kept").then(&[value("<1-50>", Ty::Int(1, 50), "Revisions").default("10")]),
        kw("path", "Copy of every save").later().then(&[value("URL", Ty::Url, "Such as scp://user@host/path")]),
    ]),
    kw("install", "Updates of firmware").then(&[kw("trust", "Whose certificate a web server may show").then(&[
        choice("public", "One that a public authority has signed").default("public"),
        kw("ca", "One that this authority has signed").val().then(&[value(
            "BASE64",
            Ty::Base64,
            "Certificate of the authority, one line",
        )]),
    ])]),
    kw("interface", "Interface")
        .then(&[arg("IFNAME", Ty::If, "ethN, bondN, either with .VLAN, or lo").block(&INTERFACE)]),
    kw("ipvs", "Kernel balancer").then(&[
        kw("timeout", "Idle connections").then(&[
            kw("tcp", "Established TCP").then(&[SECONDS.default("900")]),
            kw("tcpfin", "TCP after FIN").then(&[SECONDS.default("120")]),
            kw("udp", "UDP").then(&[SECONDS.default("300")]),
        ]),
        kw("table-bits", "Size of the connection table").then(&[value(
            "<8-27>",
            Ty::Int(8, 27),
            "log2 of buckets, needs a reload",
        )]),
        kw("conn-reuse-mode", "A client port that is used again").then(&[value(
            "<0-2>",
            Ty::Int(0, 2),
            "0 same server, 1 anew, 2 also after FIN",
        )
        .default("1")]),
        flag("expire-nodest-conn", "End connections of removed servers"),
        flag("expire-quiescent-template", "End persistence of servers with weight 0"),
        flag("sloppy-tcp", "Accept TCP without SYN"),
        flag("sloppy-sctp", "Accept SCTP without INIT"),
        flag("schedule-icmp", "ICMP errors of unknown connections too"),
        flag("drop-entry", "Drop half-open ones when memory is short").then(ALWAYS),
        flag("drop-packet", "Drop new ones when memory is short").then(&[choice("always", "Not only then")
            .then(&[value("<2-1000>", Ty::Int(2, 1000), "One packet of so many").default("10")])]),
        flag("secure-tcp", "Stricter TCP states when memory is short").then(ALWAYS),
        kw("memory-threshold", "Free memory that is too little").then(&[value(
            "<1-1048576>",
            Ty::Int(1, 1_048_576),
            "Megabytes, a twentieth of memory if not set",
        )]),
    ]),
    kw("firewall-mark", "Mark packets for a virtual server").then(&[arg(
        "<1-4294967295>",
        Ty::Int(1, u32::MAX),
        "Mark",
    )
    .then(&[arg("PREFIX", Ty::Net(Family::Any), "Destinations").then(&[
        kw("tcp", "TCP").then(MARK_PORTS),
        kw("udp", "UDP").then(MARK_PORTS),
        kw("sctp", "SCTP").then(MARK_PORTS),
    ])])]),
    kw("health-monitor", "How a service is judged")
        .then(&[arg("NAME", Ty::Name, "Name of the monitor").block(&MONITOR)]),
    kw("virtual-server", "A balanced service")
        .then(&[arg("NAME", Ty::Name, "Name of the virtual server").block(&VIRTUAL_SERVER)]),
    kw("vrrp", "Redundancy with a second box").then(&[
        kw("group", "Addresses that move").then(&[arg("NAME", Ty::Name, "Name of the group").block(&vrrp::GROUP)]),
        kw("sync-group", "Groups that move together")
            .then(&[arg("NAME", Ty::Name, "Name of the sync-group").block(&vrrp::SYNC_GROUP)]),
    ]),
    kw("connection-sync", "Connections shared with the peer").then(&[
        kw("interface", "Where they are sent").then(&[value("IFNAME", Ty::If, "Interface")]),
        kw("vrrp", "Group that decides the role").then(&[value(
            "GROUP",
            Ty::Ref(Kind::VrrpGroup),
            "Name of a vrrp group",
        )]),
        kw("syncid", "Keeps pairs apart").then(&[value("<0-255>", Ty::Int(0, 255), "Id, if not the vrid")]),
        kw("group", "Multicast group").then(&[value("ADDR", Ty::Addr(Family::Any), "Address").default("224.0.0.81")]),
        kw("port", "UDP port").then(&[value("<1-65535>", Ty::Int(1, 65535), "Port").default("8848")]),
        kw("peer", "Only this one is heard").then(&[arg("ADDR", Ty::Addr(Family::Any), "Its address there").line()]),
    ]),
];

const POOL_GROUP: &[Node] = &[value("GROUP", Ty::Ref(Kind::VrrpGroup), "Name of a vrrp group")];
const POOL_REDUNDANCY: &[Node] = &[kw("redundancy", "There only while a vrrp group is active").val().then(POOL_GROUP)];

static CONSOLE: Block = Block {
    prompt: "config-line",
    nodes: &[
        EXEC_TIMEOUT,
        LENGTH,
        WIDTH,
        kw("speed", "Serial speed").then(&[
            choice("9600", "bit/s"),
            choice("19200", "bit/s"),
            choice("38400", "bit/s"),
            choice("57600", "bit/s"),
            choice("115200", "bit/s").default("115200"),
        ]),
    ],
};

static VTY: Block = Block { prompt: "config-line", nodes: &[EXEC_TIMEOUT, LENGTH, WIDTH] };

const EXEC_TIMEOUT: Node = kw("exec-timeout", "Time without a key until logout").then(&[value(
    "<0-35791>",
    Ty::Int(0, 35_791),
    "Minutes, 0 never",
)
.default("10")]);

const LENGTH: Node =
    kw("length", "Rows of the terminal")
        .then(&[value("<0-512>", Ty::Int(0, 512), "Rows, 0 does not page").default("24")]);

const WIDTH: Node =
    kw("width", "Columns of the terminal").then(&[value("<40-512>", Ty::Int(40, 512), "Columns").default("80")]);

/// A secret: typed in clear, asked for when it is missing, kept and printed as a hash.
const fn secret(help: &'static str) -> Node {
    kw("secret", help).act(Act::AskSecret).then(SECRET)
}

const SECRET: &[Node] = &[
    kw("sha512", "Already hashed").val().then(&[value("HASH", Ty::Hash, "crypt text that begins with $6$").secret()]),
    arg("LINE", Ty::Plain, "In clear; without it you are asked").val().act(Act::AskSecret).secret(),
];

const SSH_KEY: &[Node] =
    &[arg("BASE64", Ty::Base64, "The key").line().then(&[value("LINE", Ty::Text, "Comment, such as ana@noc")])];

/// Without a default: absent means no translation at all.
const SOURCE_NAT: &[Node] = &[
    choice("interface", "Address of the outgoing interface"),
    kw("pool", "Pool of local addresses").val().then(&[value("NAME", Ty::Ref(Kind::Pool), "Name of an ip nat pool")]),
];

const DISTANCE: &[Node] = &[value("<1-255>", Ty::Int(1, 255), "Distance").default("1")];

const MARK_PORTS: &[Node] = &[arg("any|N|N-M", Ty::Ports, "Destination ports").line()];

const SECONDS: Node = value("<1-31536000>", Ty::Int(1, 31_536_000), "Seconds");

const ALWAYS: &[Node] = &[choice("always", "Not only then")];

/// RFC 5424 §6.2.1.
const FACILITIES: &[Node] = &[
    choice("daemon", "3"),
    choice("local0", "16"),
    choice("local1", "17"),
    choice("local2", "18"),
    choice("local3", "19"),
    choice("local4", "20"),
    choice("local5", "21"),
    choice("local6", "22"),
    choice("local7", "23").default("local7"),
];

const LEVELS_TRAP: &[Node] = &[
    choice("emergencies", "0: unusable"),
    choice("alerts", "1: act at once"),
    choice("critical", "2"),
    choice("errors", "3"),
    choice("warnings", "4"),
    choice("notifications", "5: normal but significant"),
    choice("informational", "6").default("informational"),
    choice("debugging", "7"),
];

const LEVELS_CONSOLE: &[Node] = &[
    choice("emergencies", "0: unusable"),
    choice("alerts", "1: act at once"),
    choice("critical", "2"),
    choice("errors", "3").default("errors"),
    choice("warnings", "4"),
    choice("notifications", "5: normal but significant"),
    choice("informational", "6"),
    choice("debugging", "7"),
];
