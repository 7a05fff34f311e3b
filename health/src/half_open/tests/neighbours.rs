//! Half handshakes in a network of their own: neighbours that are not there, and addresses of ours that go.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, unshare};

use super::*;

/// A neighbour with a network of its own, which ends with this.
struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(args: &str) {
    let out = Command::new("ip").args(args.split(' ')).output().expect("ip(8) is installed");
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// In a network namespace with one neighbour, `10.9.0.2` and `fd00:9::2`, whose kernel answers and on which nobody listens. We are `.1`.
fn beside_a_neighbour(work: impl AsyncFnOnce(HalfOpen) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        // As in all tests of raw sockets.
        return run(async |_| unreachable!("it takes root"));
    }
    let told = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root");
        ip("link set lo up");
        ip("link add v0 type veth peer name v1");
        let there = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn();
        let there = Neighbour(there.expect("unshare(1) is installed"));
        let pid = there.0.id();
        let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
        while namespace(&pid.to_string()) == namespace("thread-self") {
            std::thread::yield_now();
        }
        ip(&format!("link set v1 netns {pid}"));
        let script = "ip link set v1 up && ip addr add 10.9.0.2/16 dev v1 && ip addr add fd00:9::2/64 dev v1 nodad";
        let done = Command::new("nsenter").args(["-t", &pid.to_string(), "-n", "sh", "-c", script]).status();
        assert!(done.expect("nsenter(1) is installed").success());
        ip("addr add 10.9.0.1/16 dev v0");
        ip("link set v0 up");
        ip("addr add fd00:9::1/64 dev v0 nodad");
        run(work);
    });
    if let Err(panic) = told.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Each SYN to a neighbour that is not there waits in this box, and counts against the socket that all servers share.
#[test]
fn a_crowd_of_dead_neighbours_does_not_silence_the_living() {
    beside_a_neighbour(async |mut half_open| {
        let dead = |n: u16| SocketAddr::from((Ipv4Addr::from(0x0a09_0100 + u32::from(n)), 80));
        for n in 0..700 {
            assert!(half_open.begin(u64::from(n), dead(n), 60, S));
        }
        half_open.flush(S);
        for number in 1_000..1_010 {
            assert!(half_open.begin(number, ([10, 9, 0, 2], 80).into(), 60, S));
            let ended = ended(&mut half_open, S).await;
            assert_eq!(ended, [(number, Err("connect: refused".to_owned()))]);
        }
    });
}

#[test]
fn what_has_gone_from_an_address_that_is_no_more_goes_again_from_another() {
    beside_a_neighbour(async |mut half_open| {
        for (number, family, server) in [(1, "10.9.0.", "10.9.0.99:80"), (2, "fd00:9::", "[fd00:9::99]:80")] {
            let bits = if number == 1 { 16 } else { 64 };
            let nodad = if number == 1 { "" } else { " nodad" };
            assert!(half_open.begin(number, server.parse().expect("one"), 60, S));
            half_open.flush(S);
            ip(&format!("addr del {family}1/{bits} dev v0"));
            ip(&format!("addr add {family}3/{bits} dev v0{nodad}"));
            let ours = [format!("{family}3").parse().expect("one")].into();
            while half_open.flights.from(&ours).is_empty() {
                half_open.ready().await;
                assert_eq!(half_open.poll_outcomes(S), []);
            }
            assert_eq!(half_open.outbox, half_open.flights.from(&ours), "it is sent again");
        }
    });
}

#[test]
fn where_there_is_no_address_left_to_ask_from_it_ends_at_once() {
    beside_a_neighbour(async |mut half_open| {
        assert!(half_open.begin(1, ([10, 9, 0, 99], 80).into(), 60, S));
        half_open.flush(S);
        ip("addr del 10.9.0.1/16 dev v0");
        assert_eq!(ended(&mut half_open, S).await, [(1, Err("connect: network unreachable".to_owned()))]);
    });
}
