//! The thread against servers of this machine, whose kernel answers for them.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use super::*;
use crate::target::tests::config;
use crate::{SourcePorts, targets};

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "the thread's clock")]
fn now() -> Time {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    Instant::now() - *START
}

fn wanted(port: u16, lines: &str) -> Wanted {
    let text = format!(
        "health-monitor m\n{lines} interval 1\n timeout 1\nvirtual-server a\n virtual 192.0.2.1 tcp 80\n health-check m\n real-server 127.0.0.1 {port}\n"
    );
    let targets = targets(&config(&text), &mut SourcePorts::default(), |_, _| true);
    Wanted { targets, ..Wanted::default() }
}

#[test]
fn who_says_connect_is_heard_by_the_server() {
    for (lines, heard) in [(" connect\n", true), ("", false)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (news, mut said) = unbounded_channel();
        let prober = Prober::start(news, now).expect("a thread");
        // Without raw sockets all connect.
        let heard = heard || prober.connects().is_some();
        prober.probe(wanted(listener.local_addr().expect("bound").port(), lines));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let first = runtime.block_on(async { tokio::time::timeout(LIMIT, said.recv()).await });
        assert_eq!(first.ok().flatten().map(|news| news.verdict.state), Some(crate::State::Up), "{lines}");
        // It was, or was not, before the verdict.
        listener.set_nonblocking(true).expect("a socket");
        assert_eq!(listener.accept().is_ok(), heard, "{lines}");
    }
}
