//! Real servers that die and come back while clients ask: who is asked when, and what the operator is told. Told within the boot of `balancing`,
//! whose virtual server `web` balances by round robin over port 8080 of both servers.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::net::addr;
use crate::runner::Scene;
use crate::traffic::{self, tally};
use crate::wait;

/// What the monitor below allows: an interval, and one retry a second after it; a reset needs no timeout. Then the box, emulated, has to act.
const OUT_LIMIT: Duration = Duration::from_secs(4);
/// From its start until a server is asked again: an interval, and the box.
const BACK_LIMIT: Duration = Duration::from_secs(10);

/// Leaves `web` without a check, and both servers alive.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("a_server_that_dies_under_load_is_out_in_time_and_back_when_it_lives", |world| {
        world.console()?.configure(&[
            "health-monitor web",
            "type http",
            "interval 1",
            "timeout 1",
            "retry 1",
            "virtual-server web",
            "health-check web",
        ])?;
        wait::until("both servers to be in", BACK_LIMIT, both)?;
        world.server(0)?.stop_nginx()?;
        let died = wait::now();
        let (mut failed, mut last) = (0, Duration::ZERO);
        // Ten seconds of requests: every other one would meet the dead server.
        while died.elapsed() < OUT_LIMIT * 2 {
            if traffic::http(addr::VIP_NAT).is_err() {
                failed += 1;
                last = died.elapsed();
            }
        }
        if last >= OUT_LIMIT {
            let log = world.console()?.ok("show logging tail 20")?.text();
            bail!("a client met the dead server {last:?} after its death, {failed} did in all:\n{log}");
        }
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).keys().eq(&["lvs_real_server02"]), "{:?}", tally(&replies));
        let shown = world.console()?.ok("show health-check web")?.text();
        ensure!(shown.contains("down") && shown.contains("connect: refused"), "{shown}");
        let warnings = world.console()?.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("virtual-server web: 1 of 2 real servers down: 10.0.20.11 8080"), "{warnings}");
        let log = world.console()?.ok("show logging tail 50")?.text();
        ensure!(log.matches("10.0.20.11 8080 is down: connect: refused").count() == 1, "{log}");
        world.server(0)?.start_nginx()?;
        wait::until("both servers to be asked", BACK_LIMIT, both)
    });
    scene.check("when_all_are_dead_clients_go_to_the_sorry_server", |world| {
        world.console()?.configure(&["virtual-server web", "sorry-server 10.0.20.11 80"])?;
        // Nothing has died: what is asked for is not there.
        world.console()?.configure(&["health-monitor web", "expect status 404"])?;
        wait::until("the sorry server", BACK_LIMIT, || {
            let reply = traffic::http(addr::VIP_NAT)?;
            ensure!(reply.port == "80", "{reply:?}");
            Ok(())
        })?;
        let shown = world.console()?.json("show health-check")?.to_string();
        ensure!(shown.contains("status 200, expected 404"), "{shown}");
        let rows = world.console()?.json("show virtual-server web")?.to_string();
        ensure!(rows.contains("\"state\":\"sorry\""), "{rows}");
        world.console()?.configure(&["health-monitor web", "no expect status"])?;
        wait::until("both servers to be asked", BACK_LIMIT, both)?;
        world.console()?.configure(&["virtual-server web", "no health-check", "no sorry-server"])?;
        world.console()?.configure(&["no health-monitor web"])
    });
}

/// Whether both servers answer in turn.
fn both() -> Result<()> {
    let replies = traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
    ensure!(tally(&replies).values().eq(&[2, 2]), "{:?}", tally(&replies));
    Ok(())
}
