//! The rows of the fake: what is configured, with fixed numbers.

use std::net::IpAddr;

use vrrp::status::{Group, Peer, Status, Totals};
use yoke_config::model::{Config, Virtual};
use yoke_config::tree::Tree;
use yoke_director::status::{
    ConnectionFilter, ConnectionRow, ConnectionSyncRow, Connections, Counters, DaemonRow, Data, DefenceRow, Flash,
    FlashFile, HealthChange, HealthCheckRow, InterfaceRow, Inventory, Ipvs, Log, LogRow, Memory, NeighbourRow,
    ProcessRow, RealServerRow, RouteRow, SessionRow, Show, Ssh, Version, VirtualServerRow,
};
use yoke_install::environment::Slot;
use yoke_install::report::{Lost, Progress, SlotRow, Slots, Target};

use super::State;

pub(crate) fn data(state: &mut State, what: &Show) -> Data {
    let config = state.config();
    match what {
        Show::VirtualServers { name } => {
            let mut rows = virtual_servers(&config);
            rows.retain(|row| name.as_ref().is_none_or(|name| row.name == *name));
            Data::VirtualServers(rows)
        }
        Show::RealServers { virtual_server } => {
            let mut rows = real_servers(&config, state.connections);
            state.connections = state.connections.saturating_sub(1);
            rows.retain(|row| virtual_server.as_ref().is_none_or(|name| row.virtual_server == *name));
            Data::RealServers(rows)
        }
        Show::HealthChecks { monitor } => {
            let mut rows = health_checks();
            rows.retain(|row| monitor.as_ref().is_none_or(|name| row.monitor == *name));
            Data::HealthChecks(rows)
        }
        Show::Connections(filter) => connections(filter),
        Show::Install => Data::Install(slots()),
        Show::InstallProgress => {
            // Two looks at the bar, then the end.
            let adding = &mut state.adding;
            let done = adding.progress.as_ref().map_or(0, |progress| progress.done);
            adding.progress = Some(Progress { step: "writing".to_owned(), done: done + (15 << 20), all: 30 << 20 });
            adding.running &= done < 30 << 20;
            Data::InstallProgress(adding.clone())
        }
        Show::Interfaces { name } => {
            let mut rows = interfaces(&config);
            rows.retain(|row| name.as_ref().is_none_or(|name| row.name == *name));
            Data::Interfaces(rows)
        }
        Show::Routes { .. } => Data::Routes(vec![RouteRow {
            prefix: "0.0.0.0/0".to_owned(),
            gateway: "203.0.113.1".to_owned(),
            interface: "eth0".to_owned(),
            metric: 1,
            origin: "static".to_owned(),
        }]),
        Show::Neighbours => Data::Neighbours(vec![NeighbourRow {
            address: "203.0.113.1".parse().unwrap(),
            mac: "02:00:00:00:00:01".to_owned(),
            interface: "eth0".to_owned(),
            state: "reachable".to_owned(),
        }]),
        Show::Version => Data::Version(version(state, &config)),
        Show::Warnings => Data::Warnings(config.warnings.clone()),
        Show::Startup | Show::Rejected | Show::Diff => Data::Lines(Vec::new()),
        Show::Unsaved => Data::Unsaved(false),
        Show::History => Data::History(Vec::new()),
        Show::Sessions => Data::Sessions(vec![SessionRow {
            username: "admin".to_owned(),
            line: "console ttyS0".to_owned(),
            from: String::new(),
            privilege: 15,
            since_s: 72,
            configuring: false,
        }]),
        Show::Inventory => Data::Inventory(inventory()),
        Show::Ntp => Data::Ntp(None),
        Show::Ssh => Data::Ssh(Ssh {
            port: 22,
            addresses: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
            clients: Vec::new(),
            guesses: 4,
            a_minute: 30,
            burst: 60,
            unknown_of_source: 5,
            unknown: 30,
            refused: Some(7),
        }),
        Show::Log { tail } => log(*tail),
        Show::Processes => Data::Processes(vec![ProcessRow {
            name: "director".to_owned(),
            pid: 17,
            state: "running".to_owned(),
            why: String::new(),
            restarts: 0,
            since_s: 72,
            memory_kib: 4096,
        }]),
        Show::Memory => Data::Memory(Memory { total_kib: 524_288, available_kib: 450_560, used_kib: 73_728 }),
        Show::Flash => Data::Flash(Flash {
            mounted: true,
            total_bytes: 16_000_000,
            free_bytes: 15_000_000,
            files: vec![FlashFile { name: "startup-config".to_owned(), bytes: 1234 }],
        }),
        Show::ConnectionSync => Data::ConnectionSync(Some(ConnectionSyncRow {
            interface: "eth1".to_owned(),
            group: "outside".to_owned(),
            syncid: 51,
            multicast: [224, 0, 0, 81].into(),
            port: 8848,
            peers: vec![[10, 0, 20, 3].into()],
            sends: true,
            receives: true,
            not_carried: vec!["app".to_owned()],
        })),
        Show::Vrrp { .. } => Data::Vrrp(vrrp()),
        Show::Ipvs => Data::Ipvs(Box::new(ipvs())),
        Show::InstallTarget { name } => Data::InstallTarget(Target {
            name: name.clone(),
            model: "QEMU HARDDISK".to_owned(),
            serial: "7".to_owned(),
            identity: format!("the disk that was {name}"),
            bytes: 8_590_000_000,
            lost: vec![
                Lost { name: format!("{name}1"), label: "EFI system".to_owned(), bytes: 104_857_600 },
                Lost { name: format!("{name}2"), label: String::new(), bytes: 8_480_000_000 },
            ],
            configuration: name != "sdb",
        }),
        Show::Ipvsadm { .. } => Data::Lines(vec!["IP Virtual Server version 1.2.1 (size=4096)".to_owned()]),
    }
}

/// One group, active, that has seen things.
fn vrrp() -> Status {
    let group = Group {
        name: "outside".to_owned(),
        sync_group: Some("pair".to_owned()),
        vrid: 51,
        interface: "eth0".to_owned(),
        version: 3,
        family: "ipv4".to_owned(),
        state: "active".to_owned(),
        since_ms: 72_000,
        why: "peer silent".to_owned(),
        before: "backup".to_owned(),
        faults: Vec::new(),
        down: vec!["virtual-server www".to_owned()],
        priority: 193,
        priority_configured: 253,
        interval_ms: 100,
        source: Some([203, 0, 113, 2].into()),
        virtual_mac: None,
        peers: Vec::new(),
        addresses: vec!["203.0.113.10/24".to_owned(), "203.0.113.11/24".to_owned()],
        held: 2,
        peer: Some(Peer { address: [203, 0, 113, 3].into(), priority: 254, interval_ms: 100, heard_ms: 72_300 }),
        conflict: None,
        totals: Totals { sent: 721, heard: 9, became_active: 1, late_max_us: 180, ..Totals::default() },
        counters: [("checksum".to_owned(), 2)].into(),
    };
    Status { groups: vec![group], interfaces: Vec::new(), warnings: Vec::new() }
}

/// The lines that drain every real server with this address.
pub(crate) fn drain_lines(tree: &Tree, address: IpAddr, no: &str) -> Option<Vec<String>> {
    let config = Config::try_from(tree).unwrap();
    let mut lines = Vec::new();
    for (name, server) in &config.virtual_servers {
        for (_, port) in server.real_servers.keys().filter(|(a, _)| *a == address) {
            lines.push(format!("virtual-server {name}"));
            lines.push(format!(
                "real-server {address} {}",
                if *port == 0 { "any".to_owned() } else { port.to_string() }
            ));
            lines.push(format!("{no}drain"));
        }
    }
    (!lines.is_empty()).then_some(lines)
}

fn version(state: &State, config: &Config) -> Version {
    Version {
        restart: "reload by admin (ssh 192.0.2.7)".to_owned(),
        firmware: "9.9.9".to_owned(),
        kernel: "6.12.0".to_owned(),
        ipvs: "1.2.1".to_owned(),
        slot: "a".to_owned(),
        uptime_s: 72,
        hostname: config.hostname().to_owned(),
        cpu: "Test processor".to_owned(),
        cores: 2,
        memory_kib: 524_288,
        revision: u64::try_from(state.trees.len()).unwrap(),
        saved: state.startup.as_ref() == Some(&state.tree().print()),
    }
}

/// One that is well and one that is not.
fn health_checks() -> Vec<HealthCheckRow> {
    let well = HealthCheckRow {
        address: "10.0.20.11".parse().unwrap(),
        port: 8080,
        via: None,
        via_mode: String::new(),
        aside: String::new(),
        monitor: "web".to_owned(),
        type_: "http".to_owned(),
        state: "up".to_owned(),
        since_s: 86_400,
        reason: String::new(),
        last_s: Some(3),
        latency_us: Some(1_250),
        good: 17_280,
        failed: 0,
        virtual_servers: vec!["www".to_owned()],
        history: vec![HealthChange { ago_s: 86_400, state: "up".to_owned(), reason: String::new() }],
    };
    let ill = HealthCheckRow {
        address: "10.0.20.12".parse().unwrap(),
        state: "down".to_owned(),
        since_s: 75,
        reason: "status 503, expected 200-299".to_owned(),
        last_s: Some(1),
        latency_us: None,
        good: 17_000,
        failed: 17,
        history: vec![
            HealthChange { ago_s: 86_400, state: "up".to_owned(), reason: String::new() },
            HealthChange { ago_s: 75, state: "down".to_owned(), reason: "connect: refused".to_owned() },
        ],
        ..well.clone()
    };
    let via = Some("203.0.113.10".parse().unwrap());
    let by_dr = HealthCheckRow { via, via_mode: "dr".to_owned(), ..well.clone() };
    let aside = HealthCheckRow { aside: "no way to 203.0.113.10: network unreachable".to_owned(), ..by_dr.clone() };
    vec![well, ill, by_dr, aside]
}

fn virtual_servers(config: &Config) -> Vec<VirtualServerRow> {
    let rows = config.virtual_servers.iter().map(|(name, server)| {
        let up = server.real_servers.values().filter(|real| !real.drain && !real.shutdown).count();
        VirtualServerRow {
            name: name.to_string(),
            virtual_: match server.virtual_ {
                Virtual::Address(address, protocol, 0) => format!("{address} {} any", protocol.word()),
                Virtual::Address(address, protocol, port) => format!("{address} {} {port}", protocol.word()),
                Virtual::Fwmark { mark, .. } => format!("fwmark {mark}"),
            },
            scheduler: server.scheduler.name.to_owned(),
            mode: server.mode.word().to_owned(),
            state: if up > 0 { "up" } else { "down" }.to_owned(),
            up: u32::try_from(up).unwrap(),
            all: u32::try_from(server.real_servers.len()).unwrap(),
            persistence_timeout: server.persistence.map_or(0, |persistence| persistence.timeout),
            active_connections: 1_234_567,
            inactive_connections: 5,
            description: server.description.clone().unwrap_or_default(),
            counters: COUNTERS,
        }
    });
    rows.collect()
}

const COUNTERS: Counters = Counters {
    connections: 10,
    in_packets: 100,
    out_packets: 90,
    in_bytes: 10_000_000,
    out_bytes: 9_000,
    cps: 7,
    in_pps: 70,
    out_pps: 60,
    in_bps: 7_000,
    out_bps: 6_000,
};

fn real_servers(config: &Config, connections: u32) -> Vec<RealServerRow> {
    let all = config.virtual_servers.iter().flat_map(|(name, server)| {
        server.real_servers.iter().map(move |((address, port), real)| RealServerRow {
            virtual_server: name.to_string(),
            address: *address,
            port: *port,
            mode: real.mode.word().to_owned(),
            weight: if real.drain { 0 } else { real.weight.into() },
            configured_weight: real.weight.into(),
            state: if real.drain { "drain" } else { "up" }.to_owned(),
            reason: if real.drain { "drained by configuration" } else { "" }.to_owned(),
            upper_threshold: real.threshold.0.into(),
            lower_threshold: (real.threshold.0 * 3 / 4).into(),
            active_connections: connections,
            inactive_connections: 0,
            persistent_connections: 0,
            description: real.description.clone().unwrap_or_default(),
            counters: COUNTERS,
        })
    });
    all.collect()
}

fn connections(filter: &ConnectionFilter) -> Data {
    let row = |port: u16, state: &str| ConnectionRow {
        protocol: "TCP".to_owned(),
        client: format!("198.51.100.7:{port}"),
        virtual_: "203.0.113.10:80".to_owned(),
        real_server: "10.0.20.11:8080".to_owned(),
        state: state.to_owned(),
        expires_s: 899,
    };
    let mut rows = vec![row(40_000, "ESTABLISHED"), row(0, "ASSURED")];
    rows.retain(|row| !filter.templates || row.state == "ASSURED");
    rows.retain(|row| filter.state.as_ref().is_none_or(|state| state.eq_ignore_ascii_case(&row.state)));
    rows.retain(|row| filter.protocol.as_ref().is_none_or(|protocol| protocol.eq_ignore_ascii_case(&row.protocol)));
    let count = u64::try_from(rows.len()).unwrap();
    rows.truncate(match (filter.count, filter.limit) {
        (true, _) => 0,
        (false, 0) => usize::MAX,
        (false, limit) => usize::try_from(limit).unwrap(),
    });
    Data::Connections(Connections { count, rows })
}

fn ipvs() -> Ipvs {
    let defence = |name: &str, mode: &str, active| DefenceRow { name: name.to_owned(), mode: mode.to_owned(), active };
    Ipvs {
        version: "1.2.1".to_owned(),
        services: 1,
        destinations: 2,
        connections: 1_000,
        templates: 24,
        connections_bytes: 1_024 * 320,
        table_buckets: 4_096,
        table_bits: 12,
        table_bits_at_reload: 20,
        timeout_tcp_s: 900,
        timeout_tcpfin_s: 120,
        timeout_udp_s: 300,
        conntrack: false,
        sync: vec![DaemonRow {
            role: "backup".to_owned(),
            interface: "eth3".to_owned(),
            syncid: 51,
            group: "224.0.0.81".to_owned(),
            port: 8848,
        }],
        defences: vec![
            defence("drop-entry", "auto", true),
            defence("drop-packet", "off", false),
            defence("secure-tcp", "always", true),
        ],
        memory_threshold_kib: 25_600,
        memory_free_kib: 20_000,
        sysctls: [("amemthresh", "6400"), ("sync_threshold", "3 50")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    }
}

fn slots() -> Slots {
    let row = |slot, state: &str, version: &str| SlotRow {
        slot,
        state: state.to_owned(),
        version: version.to_owned(),
        kernel: "6.12.1-amd64".to_owned(),
        bytes: 30 << 20,
    };
    Slots {
        slots: vec![row(Slot::A, "running", "0.1.0"), row(Slot::B, "inactive", "0.2.0")],
        on_trial: false,
        damaged: false,
    }
}

fn interfaces(config: &Config) -> Vec<InterfaceRow> {
    let rows = config.interfaces.iter().map(|(name, interface)| InterfaceRow {
        name: name.as_str().to_owned(),
        state: if interface.shutdown { "shutdown" } else { "up" }.to_owned(),
        mac: "02:00:00:00:00:02".to_owned(),
        mtu: interface.mtu.unwrap_or(1500).into(),
        speed_mbps: 10_000,
        addresses: interface.addresses.iter().map(ToString::to_string).collect(),
        driver: "virtio_net".to_owned(),
        description: interface.description.clone().unwrap_or_default(),
        rx_bytes: 1_000_000,
        rx_packets: 1_000,
        rx_errors: 0,
        tx_bytes: 2_000_000,
        tx_packets: 2_000,
        tx_errors: 1,
    });
    rows.collect()
}

fn inventory() -> Inventory {
    Inventory {
        vendor: "QEMU".to_owned(),
        product: "Standard PC".to_owned(),
        serial: String::new(),
        board: String::new(),
        board_serial: String::new(),
        firmware: "SeaBIOS 1.16".to_owned(),
        cpu: "QEMU Virtual CPU".to_owned(),
        cores: 2,
        memory_kib: 524_288,
        disks: Vec::new(),
        cards: Vec::new(),
    }
}

fn log(tail: u32) -> Data {
    let rows: Vec<LogRow> = (1..=40)
        .map(|n| LogRow {
            uptime_ms: n * 1_000,
            unix_ms: 1_795_255_451_000 + n * 1_000,
            severity: 6,
            source: "director".to_owned(),
            text: format!("message {n}"),
        })
        .collect();
    let skip = if tail == 0 { 0 } else { rows.len().saturating_sub(usize::try_from(tail).unwrap()) };
    Data::Log(Log { lines: rows[skip..].to_vec(), hosts: Vec::new() })
}
