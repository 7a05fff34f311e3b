//! Links other than a bare network card: VLAN, bond, MTU, an interface that is shut down, and what the wire shows of them.

mod flaps;

use anyhow::{Context, Result, ensure};

use super::PASSWORD;
use crate::net::{Ns, addr};
use crate::runner::Scene;
use crate::traffic;
use crate::vm::Machine;
use crate::wait;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { cpus: 2, ..Machine::default() })?;
    scene.must("the_box_has_an_address", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&["interface eth0", "ip address 203.0.113.2/24"])?;
        answers(addr::DIRECTOR, true)
    })?;
    scene.check("the_inventory_names_the_cards_and_their_work_is_spread", |world| {
        let console = world.console()?;
        let text = console.ok("show inventory")?.text();
        ensure!(text.contains("virtio_net") && text.contains("52:54:00:59:00:00"), "{text}");
        // Interrupts are asked for when a card is brought up; the late one-shot spreads them.
        wait::until("work to be spread", super::SERVING_LIMIT, || {
            let it = console.json("show inventory")?;
            let cards = it["inventory"]["cards"].as_array().context("no cards")?;
            let cpus: Vec<String> = cards.iter().map(|card| card["interrupt_cpus"].to_string()).collect();
            ensure!(cards.len() == 2 && cards.iter().all(|card| card["rps_cpus"] == serde_json::json!([0, 1])), "{it}");
            ensure!(cpus[0].contains('0') && cpus[1].contains('1'), "{it}");
            ensure!(it["inventory"]["cores"] == 2 && it["inventory"]["disks"][0]["name"] == "vda", "{it}");
            Ok(())
        })
    });
    scene.check("a_vlan_tags_what_it_sends", |world| {
        let mut tcpdump = Ns::Hub.command("timeout");
        tcpdump.args(["30", "tcpdump", "-n", "-l", "-c", "1", "-i", "br-in", "vlan 30 and arp"]);
        let tagged = tcpdump.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn()?;
        world.console()?.configure(&["interface eth1.30", "ip address 10.0.30.2/24"])?;
        // Nobody answers there; the question is what is on the wire.
        world.console()?.run("ping 10.0.30.9 count 2")?;
        let seen = tagged.wait_with_output()?;
        let seen = String::from_utf8_lossy(&seen.stdout);
        ensure!(seen.contains("who-has 10.0.30.9"), "no tagged frame on the wire: {seen}");
        world.console()?.configure(&["no interface eth1.30"])?;
        let rows = world.console()?.json("show interfaces")?.to_string();
        ensure!(!rows.contains("eth1.30"), "{rows}");
        Ok(())
    });
    scene.check("a_bond_carries_a_balanced_service", |world| {
        world.console()?.configure(&[
            "interface bond0",
            "member eth1",
            "bond-mode active-backup",
            "ip address 10.0.20.2/24",
            "virtual-server web",
            "virtual 203.0.113.10 tcp 80",
            "real-server 10.0.20.11 8080",
        ])?;
        wait::until("an answer over the bond", super::SERVING_LIMIT, || traffic::http(addr::VIP_NAT))?;
        world.console()?.configure(&["no virtual-server web", "no interface bond0"])?;
        let rows = world.console()?.json("show interfaces")?.to_string();
        ensure!(!rows.contains("\"bond0\""), "{rows}");
        Ok(())
    });
    scene.check("cables_that_flap_twenty_times_leave_all_as_it_was", flaps::check);
    scene.check("an_mtu_takes_effect_and_its_removal_too", |world| {
        for (line, mtu) in [("mtu 1400", "\"mtu\":1400"), ("no mtu", "\"mtu\":1500")] {
            world.console()?.configure(&["interface eth0", line])?;
            let row = world.console()?.json("show interfaces eth0")?.to_string();
            ensure!(row.contains(mtu), "{row}");
        }
        Ok(())
    });
    scene.check("a_second_address_and_its_removal_leave_the_first_alone", |world| {
        world.console()?.configure(&[
            "interface eth0",
            "ip address 203.0.113.3/24",
            "ipv6 address 2001:db8:1::3/64",
        ])?;
        for address in ["203.0.113.3", "2001:db8:1::3", addr::DIRECTOR] {
            answers(address, true)?;
        }
        world.console()?.configure(&["interface eth0", "no ip address 203.0.113.3/24", "no ipv6 address"])?;
        answers("203.0.113.3", false)?;
        answers(addr::DIRECTOR, true)
    });
    scene.check("shutdown_and_its_removal_do_as_they_say", |world| {
        world.console()?.configure(&["interface eth0", "shutdown"])?;
        let row = world.console()?.json("show interfaces eth0")?.to_string();
        ensure!(row.contains("\"state\":\"shutdown\""), "{row}");
        answers(addr::DIRECTOR, false)?;
        world.console()?.configure(&["interface eth0", "no shutdown"])?;
        answers(addr::DIRECTOR, true)
    });
    scene.check("a_route_leads_where_it_says", |world| {
        world.console()?.configure(&["ip route 198.18.5.0/24 203.0.113.1"])?;
        let console = world.console()?;
        wait::until("an answer over the route", super::SERVING_LIMIT, || {
            let said = console.ok("ping 198.18.5.11 count 1")?.text();
            ensure!(said.contains("1 received"), "{said}");
            Ok(())
        })?;
        world.console()?.configure(&["no ip route 198.18.5.0/24"])?;
        let said = world.console()?.run("ping 198.18.5.11 count 1")?.text();
        ensure!(!said.contains("1 received"), "{said}");
        Ok(())
    });
    Ok(())
}

/// Waits until `address` answers a ping of the client, or no longer does.
fn answers(address: &str, wanted: bool) -> Result<()> {
    wait::until(&format!("{address} to answer: {wanted}"), super::SERVING_LIMIT, || {
        let ping = Ns::Client.command("ping").args(["-c", "1", "-W", "1", address]).output()?;
        ensure!(ping.status.success() == wanted);
        Ok(())
    })
}
