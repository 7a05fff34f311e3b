//! The `show` family: finite, and changes nothing.

use super::{Command, Kind, Node, Ty, arg, kw};
use crate::grammar::Command as C;

pub(super) static SHOW: &[Node] = &[
    kw("arp", "Neighbours").run(C::ShowArp),
    kw("clock", "Date and time").run(C::ShowClock),
    kw("configuration", "Revisions of the configuration").then(&[
        kw("diff", "Changes since it was saved").admin(C::ShowConfigurationDiff),
        kw("history", "Revisions kept").admin(C::ShowConfigurationHistory),
        kw("rejected", "Lines that could not be loaded").admin(C::ShowConfigurationRejected),
    ]),
    kw("connection-sync", "Connections shared with the peer").run(C::ShowConnectionSync),
    kw("connections", "Connections").run(C::ShowConnections).then(&CONNECTIONS),
    kw("flash:", "Files on flash").run(C::ShowFlash),
    kw("health-check", "Checks of real servers").run(C::ShowHealthCheck).then(&[arg(
        "NAME",
        Ty::Ref(Kind::Monitor),
        "Name of a health-monitor",
    )
    .val()
    .run(C::ShowHealthCheck)]),
    kw("history", "Lines typed in this session").run(C::ShowHistory),
    kw("install", "Firmware").then(&[kw("summary", "What is on the two slots").run(C::ShowInstall)]),
    kw("interfaces", "Interfaces").run(C::ShowInterfaces).then(&[
        kw("counters", "Packets and errors").val().run(C::ShowInterfaces),
        arg("IFNAME", Ty::Ref(Kind::Interface), "Interface").val().run(C::ShowInterfaces).then(&[kw(
            "counters",
            "Packets and errors",
        )
        .val()
        .run(C::ShowInterfaces)]),
    ]),
    kw("inventory", "What the box is made of").run(C::ShowInventory),
    kw("ip", "IPv4").then(&[
        kw("route", "Routes").run(C::ShowIpRoute),
        kw("ssh", "Who may begin a session, and how often").run(C::ShowIpSsh),
    ]),
    kw("ipv6", "IPv6").then(&[kw("route", "Routes").run(C::ShowIpv6Route)]),
    kw("ipvs", "Settings of the kernel's balancer").run(C::ShowIpvs),
    kw("logging", "Log").run(C::ShowLogging).then(&[kw("tail", "The end only").val().then(&[arg(
        "<1-10000>",
        Ty::Int(1, 10_000),
        "Lines",
    )
    .val()
    .run(C::ShowLogging)])]),
    kw("memory", "Memory in use").run(C::ShowMemory),
    kw("ntp", "What keeps the clock right").run(C::ShowNtp),
    kw("persistence", "Clients bound to real servers")
        .run(C::ShowPersistence)
        .then(&[virtual_server(C::ShowPersistence)]),
    kw("privilege", "Level of this session").run(C::ShowPrivilege),
    kw("processes", "Services of this box").run(C::ShowProcesses),
    kw("rate", "Connections and bytes per second").run(C::ShowRate).then(&RATE),
    kw("real-server", "Real servers").run(C::ShowRealServer).then(&[
        setup(),
        virtual_server(C::ShowRealServer).then(&[
            setup(),
            arg("ADDR", Ty::Ref(Kind::RealServer), "Address of the real server").val().then(&[arg(
                "1-65535|any",
                Ty::Port,
                "Port",
            )
            .val()
            .run(C::ShowRealServer)
            .then(&[setup()])]),
        ]),
    ]),
    kw("running-config", "Current configuration").admin(C::ShowRunningConfig).then(&[
        kw("all", "With defaults, as comments").val().admin(C::ShowRunningConfig),
        kw("diff", "Changes since it was saved").val().admin(C::ShowRunningConfig),
        kw("health-monitor", "One health-monitor").val().then(&[section("NAME", Ty::Ref(Kind::Monitor))]),
        kw("interface", "One interface").val().then(&[section("IFNAME", Ty::Ref(Kind::Interface))]),
        kw("sanitized", "Without secrets").val().admin(C::ShowRunningConfig),
        kw("virtual-server", "One virtual-server").val().then(&[section("NAME", Ty::Ref(Kind::VirtualServer))]),
        kw("vrrp", "Redundancy").val().admin(C::ShowRunningConfig).then(&[
            kw("group", "One group").val().then(&[section("NAME", Ty::Ref(Kind::VrrpGroup))]),
            kw("sync-group", "One sync-group").val().then(&[section("NAME", Ty::Ref(Kind::SyncGroup))]),
        ]),
    ]),
    kw("startup-config", "Saved configuration").admin(C::ShowStartupConfig),
    kw("statistics", "Totals since the last clear").run(C::ShowStatistics).then(&[kw(
        "virtual-server",
        "One virtual-server",
    )
    .val()
    .then(&[virtual_server(C::ShowStatistics)])]),
    kw("tech-support", "Everything support asks for").admin(C::ShowTechSupport).then(&[kw(
        "redact",
        "Without secrets",
    )
    .val()
    .admin(C::ShowTechSupport)]),
    kw("terminal", "Settings of this terminal").run(C::ShowTerminal),
    kw("thresholds", "Real servers near their limits").run(C::ShowThresholds),
    kw("users", "Sessions").run(C::ShowUsers),
    kw("version", "Version").run(C::ShowVersion),
    kw("virtual-server", "Virtual servers").run(C::ShowVirtualServer).then(&[
        kw("detail", "Everything known").val().run(C::ShowVirtualServer),
        virtual_server(C::ShowVirtualServer).then(&[kw("detail", "Everything known").val().run(C::ShowVirtualServer)]),
    ]),
    kw("vrrp", "Redundancy with a second box").run(C::ShowVrrp).then(&[
        kw("detail", "Everything known").val().run(C::ShowVrrp),
        kw("group", "One group").val().then(&[arg("NAME", Ty::Ref(Kind::VrrpGroup), "Name of a vrrp group")
            .val()
            .run(C::ShowVrrp)
            .then(&[kw("detail", "Everything known").val().run(C::ShowVrrp)])]),
    ]),
    kw("warnings", "What is wrong right now").run(C::ShowWarnings),
];

/// In any order, as [`CONNECTIONS`].
static RATE: [Node; 2] = [
    kw("interval", "Time measured")
        .val()
        .then(&[arg("<1-60>", Ty::Int(1, 60), "Seconds").val().run(C::ShowRate).then(&RATE)]),
    kw("virtual-server", "One virtual-server").val().then(&[virtual_server(C::ShowRate).then(&RATE)]),
];

/// Filters in any order; the walker takes each of them once in a line.
static CONNECTIONS: [Node; 7] = [
    kw("client", "From these clients").val().then(&[arg("PREFIX", Ty::NetOrHost, "Address, or prefix with length")
        .val()
        .run(C::ShowConnections)
        .then(&CONNECTIONS)]),
    kw("count", "Their number only").val().run(C::ShowConnections).then(&CONNECTIONS),
    kw("limit", "At most so many")
        .val()
        .then(&[arg("<1-10000>", Ty::Int(1, 10_000), "Connections").val().run(C::ShowConnections).then(&CONNECTIONS)]),
    kw("protocol", "Of one protocol").val().then(&[
        connections("sctp", "SCTP"),
        connections("tcp", "TCP"),
        connections("udp", "UDP"),
    ]),
    kw("real-server", "To one real server").val().then(&[arg("ADDR", Ty::Ref(Kind::RealServer), "Its address")
        .val()
        .run(C::ShowConnections)
        .then(&CONNECTIONS)]),
    kw("state", "In one state").val().then(&STATES),
    kw("virtual-server", "Of one virtual server").val().then(&[virtual_server(C::ShowConnections).then(&CONNECTIONS)]),
];

/// The kernel's names (ip_vs_proto_tcp.c, ip_vs_proto_udp.c, ip_vs_proto_sctp.c, ip_vs_conn.c), hyphens for its underscores.
static STATES: [Node; 24] = [
    connections("assured", "Persistence in use"),
    connections("c-echoed", "SCTP: COOKIE-ECHO seen"),
    connections("c-replied", "SCTP: INIT-ACK seen"),
    connections("c-sent", "SCTP: cookie sent"),
    connections("c-wait", "SCTP: waits for the cookie"),
    connections("close", "TCP: closed or reset"),
    connections("close-wait", "TCP: the server has yet to close"),
    connections("closed", "SCTP: closed"),
    connections("cookie", "SCTP: cookie seen"),
    connections("established", "TCP and SCTP: carries data"),
    connections("fin-wait", "TCP: one side has closed"),
    connections("init", "SCTP: INIT seen"),
    connections("init1", "SCTP: first INIT seen"),
    connections("last-ack", "TCP: the last acknowledgement is missing"),
    connections("none", "Nothing seen yet"),
    connections("rejected", "SCTP: refused"),
    connections("s-ack-sent", "SCTP: SHUTDOWN-ACK sent"),
    connections("s-received", "SCTP: SHUTDOWN received"),
    connections("s-sent", "SCTP: SHUTDOWN sent"),
    connections("syn-recv", "TCP: half open"),
    connections("syn-sent", "TCP: opened by a real server"),
    connections("synack", "TCP: half open, answered"),
    connections("time-wait", "TCP: both have closed"),
    connections("udp", "UDP"),
];

const fn connections(word: &'static str, help: &'static str) -> Node {
    kw(word, help).val().run(C::ShowConnections).then(&CONNECTIONS)
}

/// The systems [`setup`] knows.
static SYSTEMS: [Node; 3] = [
    kw("freebsd", "Commands of FreeBSD").val().run(C::ShowRealServer),
    kw("linux", "Commands of Linux (default)").val().run(C::ShowRealServer),
    kw("windows", "Commands of Windows").val().run(C::ShowRealServer),
];

const fn setup() -> Node {
    kw("setup", "What to type on the real servers").val().run(C::ShowRealServer).then(&SYSTEMS)
}

const fn section(word: &'static str, ty: Ty) -> Node {
    arg(word, ty, "Its name").val().admin(C::ShowRunningConfig)
}

const fn virtual_server(command: Command) -> Node {
    arg("NAME", Ty::Ref(Kind::VirtualServer), "Name of a virtual-server").val().run(command)
}
