//! Options that decide which server a client gets: a firewall mark that joins two ports, the netmask of persistence, flags of hashing schedulers.

use anyhow::{Result, ensure};

use super::super::SERVING_LIMIT;
use crate::net::{self, Ns, addr};
use crate::runner::Scene;
use crate::traffic::{self, Reply, tally};
use crate::wait;

/// A second address of the client, in the same /24.
const NEIGHBOUR: &str = "203.0.113.98";
/// Enough that hashing puts all of them on one of two servers once in 2,000 times.
const MANY: usize = 12;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) {
    scene.check("a_firewall_mark_joins_two_ports", |world| {
        let ask = |port: u16| Reply::parse(&traffic::curl(Ns::Client, &[], &traffic::url(addr::VIP_NAT, port))?);
        let configure = |lines: &[&str], world: &mut crate::runner::World| world.console()?.configure(lines);
        let lines = [
            "firewall-mark 7 203.0.113.10/32 tcp 80",
            "firewall-mark 7 203.0.113.10/32 tcp 8080",
            "virtual-server joined",
            "virtual fwmark 7",
            "scheduler rr",
            "real-server 10.0.20.11 any",
            "real-server 10.0.20.12 any",
        ];
        configure(&lines, world)?;
        wait::until("an answer by mark", SERVING_LIMIT, || ask(8080))?;
        let by_turns = traffic::ask(4, || ask(80))?;
        ensure!(tally(&by_turns).values().eq(&[2, 2]), "rr takes turns: {:?}", tally(&by_turns));
        configure(&["virtual-server joined", "persistence timeout 60"], world)?;
        let mut replies = Vec::new();
        for port in [80, 8080, 80, 8080] {
            let reply = ask(port)?;
            // The virtual server without a mark would have sent port 80 to 8080.
            ensure!(reply.port == port.to_string(), "port {port} came to {}", reply.port);
            replies.push(reply);
        }
        ensure!(tally(&replies).len() == 1, "both ports are one service: {:?}", tally(&replies));
        configure(&["no virtual-server joined", "no firewall-mark 7"], world)?;
        wait::until("the virtual server of port 80", SERVING_LIMIT, || {
            let reply = ask(80)?;
            ensure!(reply.port == "8080", "still by mark");
            Ok(())
        })
    });
    scene.check("persistence_with_a_netmask_takes_a_network_for_one_client", |world| {
        net::ip(&["-n", &Ns::Client.name(), "addr", "add", &format!("{NEIGHBOUR}/24"), "dev", "out0"])?;
        world.console()?.configure(&[
            "virtual-server net",
            "virtual 203.0.113.10 tcp 81",
            "scheduler rr",
            "persistence timeout 60",
            "real-server 10.0.20.11 8080",
            "real-server 10.0.20.12 8080",
        ])?;
        let url = traffic::url(addr::VIP_NAT, 81);
        let both = || -> Result<Vec<Reply>> {
            let ask = |from| Reply::parse(&traffic::curl(Ns::Client, &["--interface", from], &url)?);
            Ok(vec![ask("203.0.113.99")?, ask(NEIGHBOUR)?, ask("203.0.113.99")?, ask(NEIGHBOUR)?])
        };
        let replies = wait::until("answers", SERVING_LIMIT, both)?;
        ensure!(replies[1].client == NEIGHBOUR, "{replies:?}");
        ensure!(tally(&replies).values().eq(&[2, 2]), "each client has its server: {replies:?}");
        world.console()?.configure(&["virtual-server net", "persistence netmask 255.255.255.0"])?;
        let replies = both()?;
        ensure!(tally(&replies).len() == 1, "the network has one server: {replies:?}");
        let shown = world.console()?.ok("show persistence net")?.text();
        ensure!(shown.contains("203.0.113.0:0"), "{shown}");
        net::ip(&["-n", &Ns::Client.name(), "addr", "del", &format!("{NEIGHBOUR}/24"), "dev", "out0"])?;
        world.console()?.configure(&["no virtual-server net"])
    });
    scene.check("flags_of_hashing_schedulers_decide", |world| {
        let ask = || traffic::http(addr::VIP_NAT);
        world.console()?.configure(&["virtual-server web", "scheduler sh"])?;
        let replies = traffic::ask(4, ask)?;
        ensure!(tally(&replies).len() == 1, "sh: one client, one server: {:?}", tally(&replies));
        world.console()?.configure(&["virtual-server web", "scheduler sh port"])?;
        let replies = traffic::ask(MANY, ask)?;
        ensure!(tally(&replies).len() == 2, "sh port: {:?}", tally(&replies));
        // Drained, a server keeps its places in the hash table: who comes there needs the other flag.
        world.console()?.ok("drain real-server 10.0.20.11")?;
        let refused = (0..MANY).filter(|_| ask().is_err()).count();
        ensure!(refused > 0, "sh port without fallback served all of {MANY}");
        for scheduler in ["sh port-fallback", "mh port-fallback"] {
            world.console()?.configure(&["virtual-server web", &format!("scheduler {scheduler}")])?;
            let replies = traffic::ask(MANY, ask)?;
            ensure!(tally(&replies).keys().eq(&["lvs_real_server02"]), "{scheduler}: {:?}", tally(&replies));
        }
        world.console()?.ok("undrain real-server 10.0.20.11")?;
        world.console()?.configure(&["virtual-server web", "scheduler rr"])
    });
}
