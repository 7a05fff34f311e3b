//! What the original lacks.

use std::path::Path;

use ipvs::Table;
use ipvs::ipvsadm::Names;

use super::run_line;
use super::support::fake::Fake;

fn run(kernel: &mut Fake, line: &str) -> String {
    run_line(kernel, &Names::default(), Path::new("/nonexistent"), line)
}

fn made(lines: &[&str]) -> Fake {
    let mut kernel = Fake::default();
    for line in lines {
        assert_eq!(run(&mut kernel, line), "rc=0\n", "{line}");
    }
    kernel
}

const LINES: [&str; 5] = [
    "-A -t 10.0.0.1:80 -s sh -b sh-port -p 60 -M 255.255.255.0",
    "-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 3 -x 100 -y 50",
    "-a -t 10.0.0.1:80 -r 10.1.1.2 -i --tun-type gue --tun-port 6080 --tun-csum",
    "-A -f 4294967295 -6 -s rr",
    "--set 28800 60 300",
];

#[test]
fn a_full_save_restores_everything() {
    let mut kernel = made(&LINES);
    assert_eq!(run(&mut kernel, "--start-daemon master --mcast-interface dummy0 --syncid 7"), "rc=0\n");
    let saved = run(&mut kernel, "-S -n --full");
    let expected = "rc=0\n\
        o|--set 28800 60 300\n\
        o|--start-daemon master --mcast-interface dummy0 --syncid 7 --sync-maxlen 1472 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1\n\
        o|-A -f 4294967295 -6 -s rr\n\
        o|-A -t 10.0.0.1:80 -s sh -p 60 -M 255.255.255.0 -b sh-port\n\
        o|-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 3 -x 100 -y 50\n\
        o|-a -t 10.0.0.1:80 -r 10.1.1.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum\n";
    assert_eq!(saved, expected);

    let input: String =
        saved.lines().filter_map(|line| line.strip_prefix("o|")).map(|line| line.to_owned() + "\\n").collect();
    for how in ["-R", "-R --replace"] {
        let mut restored = Fake::default();
        assert_eq!(run(&mut restored, &format!("{how} @{input}")), "rc=0\n", "{how}");
        assert_eq!(restored.table, kernel.table, "{how}");
        assert_eq!(run(&mut restored, "-S -n --full"), expected, "{how}");
    }
}

#[test]
fn replacing_writes_the_difference_alone() {
    let mut kernel = made(&LINES);
    let input = "-A -t 10.0.0.1:80 -s rr\\n-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 4\\n-A -u 10.0.0.2:53\\n";
    let messages = kernel.messages;
    let expected = "rc=0\n\
        o|add service 10.0.0.2:53/udp\n\
        o|edit service 10.0.0.1:80/tcp\n\
        o|edit destination 10.1.1.1:8080 of 10.0.0.1:80/tcp\n\
        o|remove destination 10.1.1.2:80 from 10.0.0.1:80/tcp\n\
        o|remove service mark 4294967295 ipv6\n";
    // The mark is the last of the keys, and so goes first.
    let said = run(&mut kernel, &format!("-R --replace --dry-run @{input}"));
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&said), sorted(expected));
    assert_eq!(kernel.table.services.len(), 2, "a dry run writes nothing");
    assert_eq!(run(&mut kernel, &format!("-R --replace @{input}")), "rc=0\n");
    let saved =
        "rc=0\no|-A -t 10.0.0.1:80 -s rr\no|-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 4\no|-A -u 10.0.0.2:53 -s wlc\n";
    assert_eq!(run(&mut kernel, "-S -n"), saved);
    assert!(kernel.messages > messages);

    let messages = kernel.messages;
    assert_eq!(run(&mut kernel, &format!("-R --replace @{input}")), "rc=0\n");
    // The family, the list of services, and the servers of each; of the empty one, whether it is there.
    assert_eq!(kernel.messages - messages, 1 + 1 + 2 + 1);
}

#[test]
fn replacing_is_all_or_nothing() {
    let mut kernel = made(&LINES);
    let before = kernel.table.clone();
    let bad_line = "-R --replace @-A -t 10.0.0.9:80\\n-A -t 10.0.0.9:80\\n";
    assert_eq!(run(&mut kernel, bad_line), "rc=2\ne|line 2: the service exists already\n");
    assert_eq!(kernel.table, before);
    let read = "-R --replace @-L\\n";
    assert_eq!(run(&mut kernel, read), "rc=2\ne|line 1: only commands that make a table can replace one\n");

    let refused = "-R --replace @-A -t 10.0.0.9:80 -s rr\\n-A -t 10.0.0.8:80 -s nosuch\\n";
    let said = run(&mut kernel, refused);
    let expected = "rc=255\n\
        e|add service 10.0.0.8:80/tcp: the scheduler or the persistence engine is not in the kernel\n\
        e|Scheduler or persistence engine not found\n";
    assert_eq!(said, expected);
    assert_eq!(kernel.table, before);
}

#[test]
fn json_says_all_there_is() {
    let mut kernel = made(&LINES);
    let said = run(&mut kernel, "-L --json");
    let text = said.strip_prefix("rc=0\no|").unwrap();
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["services"].as_array().map(Vec::len), Some(2));
    let web = &value["services"][1];
    assert_eq!((&web["protocol"], &web["port"]), (&"tcp".into(), &80.into()));
    assert_eq!(web["scheduler_flags"], serde_json::json!(["sh-port"]));
    assert_eq!(web["persistence"], serde_json::json!({ "timeout": 60, "netmask": "255.255.255.0" }));
    let server = &web["destinations"][0];
    assert_eq!((&server["forward"], &server["upper_threshold"]), (&"masquerade".into(), &100.into()));
    let tunnel = serde_json::json!({ "type": "gue", "port": 6080, "flags": 1 });
    assert_eq!(web["destinations"][1]["tunnel"], tunnel);
    assert_eq!(web["stats"]["rates"]["bytes_out"], 0);
    let mark = &value["services"][0];
    assert_eq!((&mark["mark"], &mark["family"]), (&u32::MAX.into(), &"ipv6".into()));

    assert_eq!(run(&mut kernel, "-L --timeout --json"), "rc=0\no|{\"tcp\":28800,\"tcp_fin\":60,\"udp\":300}\n");
    assert_eq!(run(&mut kernel, "-L --daemon --json"), "rc=0\no|[]\n");
}

#[test]
fn ours_go_with_their_own_commands_only() {
    let mut kernel = Fake::default();
    for line in ["-A -t 10.0.0.1:80 --json", "-S --json", "-L --full", "-L --replace", "-C --dry-run"] {
        let said = run(&mut kernel, line);
        assert!(said.starts_with("rc=2\ne|Illegal '"), "{line}: {said}");
    }
    assert!(run(&mut kernel, "-R --dry-run").starts_with("rc=2\n"));
    assert_eq!(kernel.table, Table::default());
}

#[test]
fn many_lines_are_few_sends() {
    let mut kernel = Fake::default();
    let lines: String = (1..=300).map(|n| format!("-A -t 10.0.0.1:{n} -s rr\\n")).collect();
    assert_eq!(run(&mut kernel, &format!("-R @{lines}")), "rc=0\n");
    assert_eq!((kernel.table.services.len(), kernel.sends), (300, 1 + 2));
}

#[test]
fn what_is_refused_in_the_middle_stops_nothing() {
    let mut kernel = made(&["-A -t 10.0.0.1:7"]);
    let lines: String = (1..=600).map(|n| format!("-A -t 10.0.0.1:{n}\\n")).collect();
    assert_eq!(run(&mut kernel, &format!("-R @{lines}")), "rc=0\ne|Service already exists\n");
    assert_eq!(kernel.table.services.len(), 600);
}

#[test]
fn help_and_version_are_printed() {
    let mut kernel = Fake::default();
    assert!(run(&mut kernel, "-h").starts_with("rc=0\no|usage: ipvsadm COMMAND"));
    assert!(run(&mut kernel, "-v").starts_with("rc=0\no|ipvsadm v1.31 (crate ipvs "));
    assert!(run(&mut kernel, "--version").contains("IPVS v1.2.1)"));
}
