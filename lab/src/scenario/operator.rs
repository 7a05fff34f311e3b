//! An operator's hands on the real serial line: keys, help, pages, filters, questions.

use anyhow::{Result, ensure};

use super::{PASSWORD, serve_nat, time};
use crate::console::{COMMAND_LIMIT, Console};
use crate::runner::Scene;
use crate::vm::Machine;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { rtc: Some(time::WRONG_CLOCK), ..Machine::default() })?;
    scene.must("the_box_serves", serve_nat)?;
    time::checks(scene);
    scene.check("words_can_be_shortened", |world| {
        let console = world.console()?;
        let long = console.ok("show ip route")?.lines;
        ensure!(console.ok("sh ip ro")?.lines == long, "`sh ip ro` differs");
        Ok(())
    });
    scene.check("tab_completes_and_a_question_mark_helps", |world| {
        let console = world.console()?;
        typed_row(console, "show runn\t", "lb1#show running-config")?;
        console.interrupt()?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("show ip ?")?;
        console.serial.wait_text(start, "  route ", COMMAND_LIMIT)?;
        // The line is there again, to go on with.
        typed_row(console, "", "lb1#show ip")?;
        console.interrupt()?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("sh?")?;
        console.serial.wait_text(start, "show", COMMAND_LIMIT)?;
        typed_row(console, "", "lb1#sh")?;
        console.interrupt().map(drop)
    });
    scene.check("arrows_and_control_keys_edit_and_recall", |world| {
        let console = world.console()?;
        console.ok("show clock")?;
        typed_row(console, "\x1b[A", "lb1#show clock")?;
        // To the start, kill the rest, type another, correct it.
        typed_row(console, "\x01\x0bshow versoin\x08\x08\x08ion", "lb1#show version")?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("\r")?;
        console.serial.wait_text(start, "Yoke", COMMAND_LIMIT)?;
        console.wait_prompt(COMMAND_LIMIT).map(drop)
    });
    scene.check("ctrl_z_applies_and_ends_ctrl_c_stays_in_the_mode", |world| {
        let console = world.console()?;
        console.ok("configure terminal")?;
        console.ok("virtual-server www")?;
        ensure!(console.interrupt()? == "lb1(config-vs)#", "Ctrl-C leaves the mode");
        console.ok("description typed-with-ctrl-z")?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("\x1a")?;
        console.serial.wait("Ctrl-Z", COMMAND_LIMIT, |screen| {
            (screen.term.row() > start && screen.term.before_cursor().0 == "lb1#").then_some(())
        })?;
        let running = console.ok("show running-config virtual-server www")?.text();
        ensure!(running.contains("typed-with-ctrl-z"), "{running}");
        console.configure(&["virtual-server www", "no description"])
    });
    scene.check("long_answers_stop_at_each_page_and_q_ends_them", |world| {
        let console = world.console()?;
        console.ok("terminal length 10")?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("show running-config\r")?;
        console.serial.wait_text(start, "--More--", COMMAND_LIMIT)?;
        let rows = console.serial.look(|screen| screen.term.row()) - start;
        ensure!(rows <= 10, "{rows} rows on a page of 10");
        console.serial.send("q")?;
        console.wait_prompt(COMMAND_LIMIT)?;
        // Space by space to its end, with nothing left of the marks.
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("show running-config\r")?;
        loop {
            let (at_end, _) = console.serial.wait("the next page", COMMAND_LIMIT, |screen| {
                let (text, _) = screen.term.before_cursor();
                if text.contains("--More--") {
                    Some(false)
                } else {
                    (screen.term.row() > start && text == "lb1#").then_some(true)
                }
            })?;
            if at_end {
                break;
            }
            let bytes = console.serial.look(|screen| screen.bytes);
            console.serial.send(" ")?;
            console.serial.wait("the page to turn", COMMAND_LIMIT, |screen| {
                (screen.bytes > bytes && !screen.term.before_cursor().0.contains("--More--")).then_some(())
            })?;
        }
        let text = console.serial.look(|screen| screen.term.lines_from(start)).join("\n");
        ensure!(text.contains("\nend\n") && !text.contains("--More--"), "{text}");
        console.ok("terminal length 0").map(drop)
    });
    scene.check("filters_choose_rows", |world| {
        let console = world.console()?;
        let all = console.ok("show running-config")?.lines;
        let include = console.ok("show running-config | include real-server")?;
        ensure!(include.lines.len() == 2, "{}", include.text());
        let exclude = console.ok("show running-config | exclude real-server")?;
        ensure!(exclude.lines.len() == all.len() - 2, "{}", exclude.text());
        let begin = console.ok("show running-config | begin virtual-server")?;
        ensure!(begin.lines.first().is_some_and(|line| line == "virtual-server www"), "{}", begin.text());
        let section = console.ok("show running-config | section interface eth0")?;
        ensure!(
            section.text().contains("203.0.113.2/24") && !section.text().contains("10.0.20.2"),
            "{}",
            section.text()
        );
        let count = console.ok("show running-config | include real-server | count")?;
        ensure!(count.text().contains('2') && count.lines.len() == 1, "{}", count.text());
        Ok(())
    });
    scene.check("show_commands_work_in_configuration_mode_behind_do", |world| {
        let console = world.console()?;
        console.ok("configure terminal")?;
        ensure!(console.ok("do show version")?.text().contains("Yoke"));
        console.ok("end").map(drop)
    });
    scene.check("reload_with_unsaved_changes_asks", |world| {
        let console = world.console()?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("reload\r")?;
        console.serial.wait_text(start, "System configuration has been modified. Save? [yes/no]:", COMMAND_LIMIT)?;
        console.serial.send("\x03")?;
        console.wait_prompt(COMMAND_LIMIT)?;
        ensure!(console.ok("show version")?.text().contains("Yoke"));
        Ok(())
    });
    scene.check("enable_and_disable_change_what_is_allowed", |world| {
        let console = world.console()?;
        ensure!(console.ok("disable")?.prompt == "lb1>", "no user prompt");
        let refused = console.run("configure terminal")?;
        ensure!(refused.text().contains("% Permission denied: privilege 15 needed"), "{}", refused.text());
        let refused = console.run("show running-config")?;
        ensure!(!refused.errors().is_empty(), "privilege 1 sees the configuration");
        ensure!(console.ok("enable")?.prompt == "lb1#", "admin cannot come back");
        Ok(())
    });
    scene.check("logout_ends_the_session_and_login_asks_again", |world| {
        let console = world.console()?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("logout\r")?;
        console.serial.wait_text(start, "System configuration has been modified. Save? [yes/no]:", COMMAND_LIMIT)?;
        console.serial.send("no\r")?;
        console.wait_login(COMMAND_LIMIT)?;
        for _ in 0..3 {
            ensure!(!console.try_login("admin", "wrong")?, "a wrong password is let in");
        }
        console.login("admin", PASSWORD)
    });
    scene.check("factory_reset_forgets_everything", |world| {
        let console = world.console()?;
        console.ok("write memory")?;
        console.serial.send("factory-reset force\r")?;
        world.wait_off(super::OFF_LIMIT)?;
        world.power_on()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        let running = console.ok("show running-config | no-more")?.text();
        ensure!(!running.contains("virtual-server") && running.contains("username admin"), "{running}");
        let history = console.ok("show configuration history")?.text();
        ensure!(!history.contains("admin"), "earlier saves are still there: {history}");
        Ok(())
    });
    Ok(())
}

/// Types `keys` and waits until the cursor's row shows `row`.
fn typed_row(console: &mut Console, keys: &str, row: &str) -> Result<()> {
    console.serial.send(keys)?;
    let shown = |screen: &crate::serial::Screen| (screen.term.before_cursor().0.trim_end() == row).then_some(());
    console.serial.wait(&format!("`{row}`"), COMMAND_LIMIT, shown)?;
    Ok(())
}
