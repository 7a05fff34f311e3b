//! How long a large configuration takes. The figures are for a release build; the test fails only on what is quadratic.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::model::Config;
use crate::tree::{load, parse_edits};
use crate::walk::{Position, interpret, next};

/// 10,000 lines: services of ten real servers, as flat as a paste.
fn large() -> String {
    let mut text = String::new();
    for service in 0..400 {
        let (a, b) = (service / 200, service % 200 + 1);
        writeln!(text, "virtual-server service-{service}\nvirtual 203.0.{a}.{b} tcp 80\nscheduler wrr").unwrap();
        writeln!(text, "persistence timeout 600\ndescription \"service number {service}\"").unwrap();
        for server in 1..=10 {
            writeln!(text, "real-server 10.0.{a}.{server} 8080\nweight {}", server + 1).unwrap();
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "it measures the time it takes")]
fn timed<T>(what: &str, limit: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let took = start.elapsed();
    report(what, took);
    assert!(took < limit, "{what}: {took:?}");
    done
}

#[expect(clippy::print_stderr, reason = "the figure is what the test is for")]
fn report(what: &str, took: Duration) {
    eprintln!("{what}: {took:?}");
}

#[test]
fn ten_thousand_lines() {
    // An unoptimized build on a busy machine gets five times the time; anything quadratic takes minutes.
    let limit = Duration::from_secs(5);
    let text = large();
    assert_eq!(text.lines().count(), 10_000);
    let (tree, rejected) = timed("load 10,000 lines", limit, || load(&text));
    assert_eq!(rejected, []);
    let printed = timed("print them", limit, || tree.print());
    let (again, _) = timed("load what was printed", limit, || load(&printed));
    assert_eq!(again, tree);
    let config = timed("convert them", limit, || Config::try_from(&tree)).expect("valid");
    assert_eq!(config.virtual_servers.len(), 400);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    timed("read them as one batch", limit, || parse_edits(&lines)).expect("valid");
    assert_eq!(timed("diff with itself", limit, || tree.diff(&again)), Vec::<String>::new());
    assert_eq!(timed("diff with nothing", limit, || tree.diff(&crate::tree::Tree::default())).len(), 400);
    timed("one thousand single lines", limit, || {
        for _ in 0..1000 {
            interpret(&Position::CONFIG, "ip route 10.0.0.0/8 10.0.0.1 5").expect("valid");
        }
    });
    timed("one thousand times the help key", limit, || {
        for _ in 0..1000 {
            let found = next(&Position::CONFIG, "virtual-server ").expect("valid");
            assert_eq!(tree.suggestions(&found).len(), 400);
        }
    });
}
