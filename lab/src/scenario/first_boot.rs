//! The whole path: a factory-fresh box, its first password, a service typed on the console, traffic through it, `write
//! memory`, the plug pulled, and the box balancing again with nobody touching it.

use anyhow::{Context, Result, ensure};

use super::{OFF_LIMIT, PASSWORD, SERVING_LIMIT, typed};
use crate::console::{BOOT_LIMIT, COMMAND_LIMIT};
use crate::net::addr;
use crate::runner::Scene;
use crate::traffic::{self, tally};
use crate::vm::Machine;
use crate::wait;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("first_password_is_asked_twice_and_gives_the_prompt", |world| {
        let console = world.console()?;
        console.serial.wait_text(0, "no configuration on flash", BOOT_LIMIT)?;
        console.first_password(PASSWORD)?;
        let (prompt, _) = console.wait_prompt(COMMAND_LIMIT)?;
        ensure!(prompt == "yoke#", "the prompt is {prompt}");
        console.ok("terminal length 0")?;
        Ok(())
    })?;
    scene.must("a_service_is_typed_as_in_the_manual", |world| {
        let lines = typed(include_str!("../../config/nat.cfg"));
        let console = world.console()?;
        let entered = console.ok("configure terminal")?;
        ensure!(entered.text().contains("End with CNTL/Z"), "{}", entered.text());
        let prompts: Vec<String> = lines.iter().map(|line| Ok(console.ok(line)?.prompt)).collect::<Result<_>>()?;
        let wanted = [
            "lb1(config)#",
            "lb1(config-if)#",
            "lb1(config-if*)#",
            "lb1(config-if)#",
            "lb1(config-if*)#",
            "lb1(config)#",
            "lb1(config)#",
            "lb1(config-vs)#",
            "lb1(config-vs*)#",
            "lb1(config-vs*)#",
            "lb1(config-vs*)#",
            "lb1(config-vs-rs*)#",
            "lb1(config-vs-rs*)#",
            "lb1(config-vs*)#",
            "lb1(config)#",
        ];
        for ((line, prompt), wanted) in lines.iter().zip(&prompts).zip(wanted) {
            ensure!(prompt == wanted, "after `{line}` the prompt is {prompt}, not {wanted}");
        }
        ensure!(console.ok("end")?.prompt == "lb1#");
        Ok(())
    })?;
    scene.check("the_router_answers_a_ping", |world| {
        let console = world.console()?;
        // The first packet may wait for its neighbour's address longer than a ping does.
        wait::until("two answers of two", SERVING_LIMIT, || {
            let said = console.ok("ping 203.0.113.1 count 2")?.text();
            ensure!(said.contains("2 packets sent, 2 received, 0% loss"), "{said}");
            Ok(())
        })
    });
    scene.must("nat_balances_curl_over_two_nginx", |world| {
        wait::until("the first balanced answer", SERVING_LIMIT, || traffic::http(addr::VIP_NAT))?;
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).values().eq(&[3, 3]), "{:?}", tally(&replies));
        for reply in &replies {
            ensure!(reply.client == "203.0.113.99" && reply.port == "8080", "{reply:?}");
        }
        let row = world.console()?.json("show virtual-server")?;
        let text = row.to_string();
        ensure!(text.contains("\"www\"") && text.contains("203.0.113.10 tcp 80"), "{text}");
        Ok(())
    })?;
    scene.must("write_memory_says_ok", |world| {
        let said = world.console()?.ok("write memory")?.text();
        ensure!(said.contains("Building configuration...") && said.contains("[OK]"), "{said}");
        Ok(())
    })?;
    scene.must("after_a_power_cut_it_balances_untouched", |world| {
        world.cut_power()?;
        ensure!(traffic::http(addr::VIP_NAT).is_err(), "the service answers without a director");
        world.power_on()?;
        wait::until("the first balanced answer", SERVING_LIMIT, || traffic::http(addr::VIP_NAT))?;
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).values().eq(&[3, 3]), "{:?}", tally(&replies));
        Ok(())
    })?;
    scene.check("the_console_asks_for_login_now_and_refuses_a_wrong_password", |world| {
        let console = world.console()?;
        ensure!(!console.try_login("admin", "wrong")?, "a wrong password is let in");
        console.login("admin", PASSWORD)?;
        let (prompt, _) = console.wait_prompt(COMMAND_LIMIT)?;
        ensure!(prompt == "lb1#", "the prompt is {prompt}");
        let running = console.ok("show running-config")?.text();
        ensure!(running.contains("virtual 203.0.113.10 tcp 80"), "{running}");
        ensure!(!running.contains(PASSWORD), "the password is in the configuration in clear");
        Ok(())
    });
    scene.check("nothing_is_left_to_save", |world| {
        let console = world.console()?;
        let diff = console.ok("show configuration diff")?.text();
        ensure!(diff.trim().is_empty(), "{diff}");
        Ok(())
    });
    scene.check("reload_comes_back_serving", |world| {
        let console = world.console()?;
        console.serial.send("reload force\r")?;
        world.wait_off(OFF_LIMIT).context("QEMU ends where a machine would restart")?;
        world.power_on()?;
        wait::until("the first balanced answer", SERVING_LIMIT, || traffic::http(addr::VIP_NAT))?;
        Ok(())
    });
    Ok(())
}
