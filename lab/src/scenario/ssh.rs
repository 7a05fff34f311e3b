//! SSH: closed until somebody has a credential, then the same shell as on the console, for people and for programs.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{PASSWORD, serve_nat, wait_serving};
use crate::disk::Flash;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::scan;
use crate::ssh::{self, Ssh, stdout};
use crate::wait;

/// From the first credential until SSH answers: host keys are made then, on an emulated machine.
const SSH_LIMIT: Duration = Duration::from_secs(120);
/// Between two tries: the box counts them.
const PAUSE: Duration = Duration::from_millis(500);
/// Connections that one source may begin at once.
const BURST: usize = 60;
/// The operator of privilege 1.
const NOC_PASSWORD: &str = "noc-Passw0rd";

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.must("before_a_credential_exists_every_port_is_closed", |world| {
        // A box with an address and no user: it can only come about from a saved configuration.
        crate::disk::copy(&crate::vm::image()?, &world.disk())?;
        let text = "interface eth0\n ip address 203.0.113.2/24\nend\n";
        Flash::open(&world.disk())?.write("startup-config", super::flash::with_header(text).as_bytes())?;
        world.power_on()?;
        world.console()?.serial.wait_text(0, "Password for user admin (new):", crate::console::BOOT_LIMIT)?;
        // Closed, not absent: the box answers.
        let ping = Ns::Client.command("ping").args(["-c", "1", "-w", "20", addr::DIRECTOR]).output()?;
        ensure!(ping.status.success(), "the box does not answer a ping: {}", String::from_utf8_lossy(&ping.stdout));
        let open = scan::tcp(addr::DIRECTOR, 1..=1100)?;
        ensure!(open.is_empty(), "open: {open:?}");
        Ok(())
    })?;
    scene.must("ssh_opens_after_the_first_password_and_nothing_else_does", |world| {
        serve_nat(world)?;
        wait::until_every("SSH to answer", SSH_LIMIT, PAUSE, || {
            let open = scan::tcp(addr::DIRECTOR, 22..=22)?;
            ensure!(open == [22], "port 22 is closed");
            Ok(())
        })?;
        let open = scan::tcp(addr::DIRECTOR, 1..=1100)?;
        ensure!(open == [22], "open: {open:?}");
        Ok(())
    })?;
    scene.check("ssh_does_not_answer_on_a_vip", |_| {
        let open = scan::tcp(addr::VIP_NAT, 22..=22)?;
        ensure!(open.is_empty(), "SSH answers on a VIP");
        Ok(())
    });
    scene.check("a_password_logs_in_and_a_wrong_one_does_not", |world| {
        let ssh = Ssh::new(&world.dir)?;
        let text = stdout(&ssh.with_password("admin", PASSWORD, addr::DIRECTOR, "show virtual-server | json")?)?;
        let rows: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(rows.to_string().contains("\"www\""), "{text}");
        let refused = ssh.with_password("admin", "wrong", addr::DIRECTOR, "show version")?;
        ensure!(!refused.status.success(), "a wrong password is let in");
        let root = ssh.with_password("root", PASSWORD, addr::DIRECTOR, "show version")?;
        ensure!(!root.status.success(), "root is let in");
        std::fs::remove_dir_all(world.dir.join("ssh"))?;
        Ok(())
    });
    let keys = Ssh::new(&scene.world.dir)?;
    scene.must("a_key_logs_in", |world| {
        let line = format!("username admin ssh-key {} lab", keys.public_key()?);
        let noc = format!("username noc secret {NOC_PASSWORD}");
        world.console()?.configure(&[&line, "username noc privilege 1", &noc])?;
        let text = stdout(&keys.with_key("admin", addr::DIRECTOR, "show version", "")?)?;
        ensure!(text.contains("Yoke"), "{text}");
        Ok(())
    })?;
    scene.check("exit_statuses_tell_what_happened", |_| {
        for (command, status) in [
            ("show virtual-server | json", 0),
            ("show version; show clock", 0),
            ("show vers1on", 2),
            ("show", 2),
            ("show v", 2),
            ("show virtual-server nobody", 1),
        ] {
            let output = keys.with_key("admin", addr::DIRECTOR, command, "")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(status), "`{command}` ends with {:?}: {said}", output.status.code());
        }
        let denied = keys_of_noc(&keys, "show running-config")?;
        ensure!(denied == Some(3), "privilege 1 sees the configuration: status {denied:?}");
        Ok(())
    });
    scene.check("piped_lines_are_one_batch_that_stops_at_the_first_error", |world| {
        let lines =
            "configure terminal\nvirtual-server piped\nvirtual 203.0.113.11 tcp 80\nreal-server 10.0.20.11 8080\nend\n";
        stdout(&keys.with_key("admin", addr::DIRECTOR, "", lines)?)?;
        let running = world.console()?.ok("show running-config")?.text();
        ensure!(running.contains("virtual-server piped"), "{running}");
        let wrong = "configure terminal\nno virtual-server piped\nfrobnicate\nhostname never\nend\n";
        let output = keys.with_key("admin", addr::DIRECTOR, "", wrong)?;
        ensure!(output.status.code() == Some(2), "a wrong line ends with {:?}", output.status.code());
        let running = world.console()?.ok("show running-config")?.text();
        ensure!(!running.contains("hostname never"), "a line after the wrong one was executed");
        Ok(())
    });
    scene.check("an_update_that_breaks_off_in_ssh_leaves_its_slot_empty", |world| {
        let update = std::fs::read(super::install::image_file())?;
        for (bytes, why) in [
            (&b"<html>"[..], "stdin: is not an update file"),
            (&update[..4095], "stdin: is cut short"),
            (&update[..1 << 20], "stdin: slot b of vda is empty now: is cut short: 1044480 of"),
        ] {
            let output = keys.with_key("admin", addr::DIRECTOR, "install add stdin", bytes)?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1) && said.contains(why), "{why}: {said}");
        }
        let piped = keys.with_key("admin", addr::DIRECTOR, "", "install add stdin\n")?;
        let said = String::from_utf8_lossy(&piped.stderr);
        ensure!(said.contains("what is typed here are commands"), "{said}");
        let said = world.console()?.ok("show install summary")?.text();
        ensure!(said.lines().any(|line| line.trim_start().starts_with("b ") && line.contains("empty")), "{said}");
        Ok(())
    });
    scene.check("netmiko_drives_it_as_an_ios_box", |world| {
        ssh::netmiko(addr::DIRECTOR, "admin", PASSWORD)?;
        let startup = world.console()?.ok("show startup-config")?.text();
        ensure!(startup.contains("from netmiko"), "save_config saved nothing: {startup}");
        Ok(())
    });
    scene.check("who_has_no_login_holds_five_connections_and_begins_thirty_a_minute", guesses);
    scene.check("host_keys_and_users_outlive_a_power_cut", |world| {
        world.console()?.ok("write memory")?;
        world.cut_power()?;
        world.power_on()?;
        wait_serving()?;
        wait::until_every("SSH to answer", SSH_LIMIT, PAUSE, || {
            // Strict from the first time on: another host key would be refused here.
            let text = stdout(&keys.with_key("admin", addr::DIRECTOR, "show version", "")?)?;
            ensure!(text.contains("Yoke"), "{text}");
            Ok(())
        })
    });
    Ok(())
}

/// Whether one source is held to its share, another has its own, and the operator is told.
fn guesses(world: &mut World) -> Result<()> {
    // Until three in a row get no answer.
    let held = Ns::Client.enter(|| {
        let address = format!("{}:22", addr::DIRECTOR).parse()?;
        let (mut held, mut refused) = (Vec::new(), 0);
        while refused < 3 && held.len() < BURST * 2 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(stream) => {
                    held.push(stream);
                    refused = 0;
                }
                Err(_) => refused += 1,
            }
        }
        Ok(held)
    })?;
    ensure!(held.len() < BURST * 2, "{} connections in a row", held.len());
    let greeted = |mut stream: &TcpStream| {
        let mut said = [0; 4];
        // One that is refused is closed without a word.
        let asked = stream.set_read_timeout(Some(Duration::from_secs(20)));
        asked.is_ok() && stream.read_exact(&mut said).is_ok() && said == *b"SSH-"
    };
    let served = held.iter().filter(|stream| greeted(stream)).count();
    ensure!(served <= 5, "{served} connections without a login are served");
    let text = world.console()?.ok("show ip ssh")?.text();
    let shown = world.console()?.json("show ip ssh")?;
    ensure!(shown["ssh"]["refused"].as_u64().is_some_and(|count| count > 0), "nothing is counted: {text}");
    // Somebody else has a share of his own.
    drop(held);
    let address = addr::DIRECTOR;
    let said = Ns::Router
        .command("timeout")
        .args(["20", "bash", "-c", &format!("head -c 4 < /dev/tcp/{address}/22")])
        .output()?;
    ensure!(said.stdout == b"SSH-", "another source is refused too: {said:?}");
    Ok(())
}

/// Exit status of a command of the operator of privilege 1.
fn keys_of_noc(ssh: &Ssh, command: &str) -> Result<Option<i32>> {
    Ok(ssh.with_password("noc", NOC_PASSWORD, addr::DIRECTOR, command)?.status.code())
}
