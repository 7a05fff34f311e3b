//! 1,000 services of 10 destinations: how long this crate and ipvsadm take for the same table, on the same machine, in one run.
//!
//! `bench [OURS]`, in a virtual machine: it owns the table while it runs and leaves it empty. The original `ipvsadm` is looked for in the path;
//! its input is written beforehand, so that only reading and programming are timed. OURS is the path of this crate's `ipvsadm`, measured too. Each figure is the median of [`ROUNDS`] rounds, taken in turns so that what slows
//! the machine slows both.
#![expect(clippy::print_stdout, reason = "a program that reports")]
#![expect(clippy::disallowed_methods, reason = "a clock is what it is about")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::fmt::Write as _;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ipvs::{Client, Destination, DestinationKey, Service, ServiceKey, Table, plan};

const SERVICES: u16 = 1000;
const DESTINATIONS: u8 = 10;
const ROUNDS: usize = 5;
const RULES: &str = "/tmp/bench-ipvsadm-rules";

fn table() -> Table {
    let mut table = Table::default();
    for n in 0..SERVICES {
        let [high, low] = n.to_be_bytes();
        let key = ServiceKey::tcp(([10, 1, high, low], 80).into());
        let entry = table.service(key, Service::new("wlc".parse().unwrap()));
        for host in 1..=DESTINATIONS {
            let key = DestinationKey::new(([10, 2 + host, high, low], 8080).into());
            entry.destinations.insert(key, Destination::masquerade(u32::from(host)));
        }
    }
    table
}

fn rules(table: &Table) -> String {
    let mut out = String::new();
    for (key, entry) in &table.services {
        let at = key.to_string();
        let at = at.trim_end_matches("/tcp");
        writeln!(out, "-A -t {at} -s {}", entry.service.scheduler).unwrap();
        for (server, destination) in &entry.destinations {
            writeln!(out, "-a -t {at} -r {server} -m -w {}", destination.weight).unwrap();
        }
    }
    out
}

fn run(program: &str, arguments: &[&str], input: Option<&str>) {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    if let Some(input) = input {
        command.stdin(File::open(input).unwrap());
    }
    assert!(command.status().expect("the program is there").success(), "{program} {arguments:?}");
}

fn timed(times: &mut Vec<Duration>, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    times.push(start.elapsed());
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn main() {
    let wanted = table();
    std::fs::write(RULES, rules(&wanted)).unwrap();
    let mut client = Client::open().expect("a kernel with IPVS, and root");
    let ours = std::env::args().nth(1);
    let [mut restore, mut list, mut program, mut reconcile, mut read, mut weight] = [const { Vec::new() }; 6];
    let [mut our_restore, mut our_list] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        client.flush().unwrap();
        timed(&mut restore, || run("ipvsadm", &["-R"], Some(RULES)));
        assert_eq!(client.observe().unwrap(), wanted, "both mean the same table");
        timed(&mut list, || run("ipvsadm", &["-L", "-n", "--stats"], None));
        timed(&mut read, || assert_eq!(client.statistics().unwrap().len(), usize::from(SERVICES)));
        client.flush().unwrap();
        if let Some(ours) = &ours {
            timed(&mut our_restore, || run(ours, &["-R"], Some(RULES)));
            assert_eq!(client.observe().unwrap(), wanted, "both mean the same table");
            timed(&mut our_list, || run(ours, &["-L", "-n", "--stats"], None));
            client.flush().unwrap();
        }
        timed(&mut program, || client.apply(&plan(&Table::default(), &wanted)).unwrap());
        timed(&mut reconcile, || assert!(plan(&client.observe().unwrap(), &wanted).is_empty()));
        let mut drained = wanted.clone();
        let entry = drained.services.values_mut().nth(500).unwrap();
        entry.destinations.values_mut().next().unwrap().weight = 0;
        timed(&mut weight, || client.apply(&plan(&wanted, &drained)).unwrap());
        client.apply(&plan(&drained, &wanted)).unwrap();
    }
    client.flush().unwrap();

    let restore = median(restore);
    let list = median(list);
    println!("{SERVICES} services x {DESTINATIONS} destinations, median of {ROUNDS}");
    println!("{:26} {restore:8.4} s\n{:26} {list:8.4} s", "ipvsadm -R", "ipvsadm -Ln --stats");
    for (what, times, against, base) in [
        ("our ipvsadm -R", our_restore, "ipvsadm -R", restore),
        ("program", program, "ipvsadm -R", restore),
        ("observe and plan nothing", reconcile, "ipvsadm -R", restore),
        ("plan and apply one weight", weight, "ipvsadm -R", restore),
        ("our ipvsadm -Ln --stats", our_list, "ipvsadm -Ln --stats", list),
        ("read with counters", read, "ipvsadm -Ln --stats", list),
    ] {
        if !times.is_empty() {
            let time = median(times);
            println!("{what:26} {time:8.4} s  1/{:.1} of {against}", base / time);
        }
    }
}
