//! EXEC commands. One that has no function in this release is not here: `Invalid input` is more honest.
//!
//! `clear` is harmless, `show` (its own file) changes nothing; everything that can interrupt traffic needs privilege 15.

use super::show::SHOW;
use super::{Command as C, Family, Kind, Node, Ty, arg, kw};

/// Everything that can be typed at `yoke>` and `yoke#`.
pub static EXEC: &[Node] = &[
    kw("clear", "Set counters to zero, empty caches").then(&[
        kw("arp", "Neighbours that were found out, IPv6 too").run(C::ClearArp),
        kw("counters", "Packets and bytes of interfaces").run(C::ClearCounters).then(&[kw(
            "interface",
            "One interface",
        )
        .val()
        .then(&[arg("IFNAME", Ty::Ref(Kind::Interface), "Interface").val().run(C::ClearCounters)])]),
        kw("logging", "Show no line of the log any more that is there now").run(C::ClearLogging),
        kw("statistics", "Totals of servers, takes 2 s").run(C::ClearStatistics).then(&[kw(
            "virtual-server",
            "One virtual-server",
        )
        .val()
        .then(&[virtual_server("NAME").run(C::ClearStatistics)])]),
    ]),
    kw("configure", "Change the configuration").admin(C::Configure).then(&[
        kw("replace", "Make it equal to a saved one").then(&[kw("startup-config", "Saved configuration")
            .val()
            .admin(C::ConfigureReplace)
            .then(&[force(C::ConfigureReplace)])]),
        kw("terminal", "From this terminal").admin(C::Configure),
    ]),
    kw("copy", "Copy a configuration").then(&[
        kw("running-config", "Current configuration").val().then(&[startup()]),
        kw("startup-config", "Saved configuration").val().then(&[running()]),
    ]),
    kw("disable", "Back to privilege 1").run(C::Disable),
    kw("drain", "Take no new connections").then(&[real_server().then(&[arg(
        "ADDR",
        Ty::Ref(Kind::RealServer),
        "Address of the real server",
    )
    .val()
    .admin(C::Drain)
    .then(&[
        of_virtual_server().then(&[of_name(C::Drain).then(&[WAIT])]),
        WAIT,
        arg("1-65535|any", Ty::Port, "Port")
            .val()
            .admin(C::Drain)
            .then(&[of_virtual_server().then(&[of_name(C::Drain).then(&[WAIT])]), WAIT]),
    ])])]),
    kw("enable", "Privilege 15 for this session").run(C::Enable).then(&[arg(
        "<1-15>",
        Ty::Int(1, 15),
        "Level, 1 or 15",
    )
    .val()
    .run(C::Enable)]),
    kw("exit", "End the session").run(C::Exit),
    kw("factory-reset", "Erase everything and restart").admin(C::FactoryReset).then(&[force(C::FactoryReset)]),
    kw("format", "Make a file system anew").then(&[kw("flash:", "Where it does not mount: it is empty afterwards")
        .admin(C::FormatFlash)
        .then(&[force(C::FormatFlash)])]),
    kw("hand-back", "Take over from the peer").then(&[vrrp("Addresses that move", &HAND_BACK)]),
    kw("hand-over", "Leave the addresses to the peer").then(&[vrrp("Addresses that move", &HAND_OVER)]),
    kw("help", "Keys and help").run(C::Help),
    kw("install", "Firmware on two slots").then(&[
        kw("abort", "Stop an install, or go back to the good slot").admin(C::InstallAbort),
        kw("activate", "Start the other slot once").admin(C::InstallActivate).then(&ACTIVATE),
        kw("add", "Write an update into the other slot").then(&[arg(
            "URL|FILE",
            Ty::Word,
            "http(s)://HOST/PATH, usb:FILE of a stick, or stdin",
        )
        .val()
        .admin(C::InstallAdd)
        .then(&[kw("force", "Though it is older").val().admin(C::InstallAdd)])]),
        kw("commit", "Keep what runs").admin(C::InstallCommit),
        kw("disk", "Put this box on another disk").then(&[arg("NAME", Ty::Word, "Its name, see: show inventory")
            .val()
            .admin(C::InstallDisk)
            .then(&[force(C::InstallDisk)])]),
        kw("rollback", "Start the other slot from now on").admin(C::InstallRollback).then(&[force(C::InstallRollback)]),
    ]),
    kw("ipvsadm", "Kernel tables, read-only")
        .admin(C::Ipvsadm)
        .then(&[arg("LINE", Ty::Text, "Options of ipvsadm").val().admin(C::Ipvsadm)]),
    kw("logout", "End the session").run(C::Logout),
    kw("ping", "Send echo requests").then(&[arg("HOST", Ty::Host, "Address or name").val().run(C::Ping).then(&PING)]),
    kw("poweroff", "Switch the box off").admin(C::PowerOff).then(&[force(C::PowerOff)]),
    kw("reload", "Restart the box").admin(C::Reload).then(&[force(C::Reload)]),
    kw("reset", "Start afresh, what it holds moves").then(&[
        kw("connections", "Their clients connect again").then(&[
            kw("all", "All of them").val().admin(C::ResetConnections),
            kw("client", "From these clients").val().then(&[arg(
                "PREFIX",
                Ty::NetOrHost,
                "Address, or prefix with length",
            )
            .val()
            .admin(C::ResetConnections)]),
            kw("real-server", "To one real server").val().then(&[arg(
                "ADDR",
                Ty::Ref(Kind::RealServer),
                "Its address",
            )
            .val()
            .admin(C::ResetConnections)
            .then(&[arg("1-65535|any", Ty::Port, "Port").val().admin(C::ResetConnections)])]),
            kw("virtual-server", "Of one virtual server")
                .val()
                .then(&[virtual_server("NAME").admin(C::ResetConnections)]),
        ]),
        kw("persistence", "Clients get a real server anew")
            .admin(C::ResetPersistence)
            .then(&[virtual_server("NAME").admin(C::ResetPersistence)]),
        vrrp("Redundancy", &RESET),
    ]),
    kw("resolve", "Look up a name").then(&[arg("NAME", Ty::Host, "Name").val().run(C::Resolve)]),
    kw("setup", "Six questions for a new box").admin(C::Setup),
    kw("show", "Show what is").then(SHOW),
    kw("terminal", "Settings of this terminal").then(&[
        kw("continue-on-error", "Go on after a line that fails").run(C::TerminalContinueOnError),
        kw("history", "Lines kept").then(&[kw("size", "Lines kept")
            .then(&[arg("<0-500>", Ty::Int(0, 500), "Lines").val().run(C::TerminalHistorySize)])]),
        kw("length", "Rows")
            .then(&[arg("<0-512>", Ty::Int(0, 512), "Rows, 0 does not page").val().run(C::TerminalLength)]),
        kw("monitor", "Print messages here").run(C::TerminalMonitor),
        kw("no", "Undo").then(&[kw("monitor", "Print no messages here").run(C::TerminalNoMonitor)]),
        kw("width", "Columns")
            .then(&[arg("<0-512>", Ty::Int(0, 512), "Columns, 0 is no limit").val().run(C::TerminalWidth)]),
    ]),
    kw("traceroute", "Find the way to a host")
        .then(&[arg("HOST", Ty::Host, "Address or name").val().run(C::Traceroute)]),
    kw("undrain", "Take new connections again").then(&[real_server().then(&[arg(
        "ADDR",
        Ty::Ref(Kind::RealServer),
        "Address of the real server",
    )
    .val()
    .admin(C::Undrain)
    .then(&[
        of_virtual_server().then(&[of_name(C::Undrain)]),
        arg("1-65535|any", Ty::Port, "Port")
            .val()
            .admin(C::Undrain)
            .then(&[of_virtual_server().then(&[of_name(C::Undrain)])]),
    ])])]),
    kw("who", "Sessions").run(C::ShowUsers),
    kw("write", "Save the configuration").admin(C::WriteMemory).then(&[
        kw("erase", "Forget the saved configuration").admin(C::WriteErase).then(&[force(C::WriteErase)]),
        force(C::WriteMemory),
        kw("memory", "To flash").admin(C::WriteMemory).then(&[force(C::WriteMemory)]),
    ]),
];

/// Options in any order; the walker takes each of them once in a line.
static PING: [Node; 4] = [
    kw("count", "Number of requests")
        .val()
        .then(&[arg("<1-100000>", Ty::Int(1, 100_000), "Requests").val().run(C::Ping).then(&PING)]),
    kw("df", "Do not fragment").val().run(C::Ping).then(&PING),
    kw("size", "Bytes of data")
        .val()
        .then(&[arg("<0-65500>", Ty::Int(0, 65_500), "Bytes").val().run(C::Ping).then(&PING)]),
    kw("source", "Sender")
        .val()
        .then(&[arg("ADDR", Ty::Addr(Family::Any), "Address of this box").val().run(C::Ping).then(&PING)]),
];

const WAIT: Node =
    kw("wait", "Until its last connection has ended").val().admin(C::Drain).then(&[kw("timeout", "At most so long")
        .val()
        .then(&[arg("<1-86400>", Ty::Int(1, 86_400), "Seconds").val().admin(C::Drain)])]);

/// In any order.
static ACTIVATE: [Node; 2] = [
    kw("auto-abort-timer", "When it returns, unless it is committed").val().then(&[arg(
        "<1-1440>",
        Ty::Int(1, 1440),
        "Minutes, 30 unless said",
    )
    .val()
    .admin(C::InstallActivate)
    .then(&ACTIVATE)]),
    force(C::InstallActivate),
];

static HAND_BACK: [Node; 2] = [
    kw("all", "Every group").val().admin(C::HandBack),
    kw("group", "One group, with its sync-group").val().then(&[group(C::HandBack)]),
];
static HAND_OVER: [Node; 2] = [
    kw("all", "Every group").val().admin(C::HandOver),
    kw("group", "One group, with its sync-group").val().then(&[group(C::HandOver)]),
];
static RESET: [Node; 1] = [kw("group", "One group, with its sync-group").val().then(&[group(C::ResetVrrp)])];

const fn group(command: C) -> Node {
    arg("NAME", Ty::Ref(Kind::VrrpGroup), "Name of a vrrp group").val().admin(command)
}

const fn vrrp(help: &'static str, next: &'static [Node]) -> Node {
    kw("vrrp", help).then(next)
}

const fn force(command: C) -> Node {
    kw("force", "Without asking").val().admin(command)
}

const fn running() -> Node {
    kw("running-config", "Current configuration").val().admin(C::Copy)
}

const fn startup() -> Node {
    kw("startup-config", "Saved configuration").val().admin(C::Copy)
}

const fn virtual_server(word: &'static str) -> Node {
    arg(word, Ty::Ref(Kind::VirtualServer), "Name of a virtual-server").val()
}

const fn real_server() -> Node {
    kw("real-server", "One real server")
}

const fn of_virtual_server() -> Node {
    kw("virtual-server", "In one virtual server only").val()
}

const fn of_name(command: C) -> Node {
    virtual_server("NAME").admin(command)
}
