//! Runs scenarios and says what came out, in the lines `cargo test` uses.
//!
//! A scenario is one network and a few boots of one disk; what it finds out is cut into named checks, because a boot is
//! expensive and a failure should say more than "the boot". A check that fails does not end its scenario unless the
//! rest depends on it ([`Scene::must`]); what then did not run is counted as failed, never passed over.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::console::Console;
use crate::disk;
use crate::figure::Figure;
use crate::labshell::LabShell;
use crate::net::{Net, Ns, SERVERS};
use crate::peer::Peer;
use crate::servers::Server;
use crate::vm::{self, Machine, Vm};
use crate::wait;

/// Which rung of the ladder a scenario stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Namespaces on this machine's kernel.
    Namespaces,
    /// The real image in QEMU.
    Vm,
    /// The same, and it takes long: only with `--all`, or by name.
    Long,
}

/// A named story.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its rung.
    pub rung: Rung,
    /// First part of its checks' names.
    pub name: &'static str,
    /// Told here. An error ends it early.
    pub run: fn(&mut Scene<'_>) -> Result<()>,
}

/// What a scenario has around it.
#[derive(Debug)]
pub struct World {
    /// Transcripts, captures, disks of this scenario.
    pub dir: PathBuf,
    /// How the next machine is put together.
    pub machine: Machine,
    /// The machine, while it is on.
    vm: Option<Vm>,
    second: Option<Vm>,
    peer: Option<Peer>,
    servers: Vec<Server>,
    captures: Vec<Child>,
    _net: Option<Net>,
}

impl World {
    /// The machine that is on.
    ///
    /// # Errors
    /// When it is off.
    pub fn vm(&mut self) -> Result<&mut Vm> {
        self.vm.as_mut().context("the machine is off")
    }

    /// Its console.
    ///
    /// # Errors
    /// When it is off.
    pub fn console(&mut self) -> Result<&mut Console> {
        Ok(&mut self.vm()?.console)
    }

    /// The root shell inside it.
    ///
    /// # Errors
    /// When it is off, or was started without.
    pub fn shell(&mut self) -> Result<&mut LabShell> {
        self.vm()?.shell.as_mut().context("this machine has no lab shell")
    }

    /// The second box of a pair.
    ///
    /// # Errors
    /// When it is off.
    pub fn second(&mut self) -> Result<&mut Vm> {
        self.second.as_mut().context("the second box is off")
    }

    /// Switches the second box on, on a fresh disk of its own.
    ///
    /// # Errors
    /// As [`Vm::start`].
    pub fn power_on_second(&mut self) -> Result<()> {
        let dir = self.dir.join("second");
        std::fs::create_dir_all(&dir)?;
        let disk = dir.join("disk.img");
        disk::copy(&vm::image()?, &disk)?;
        let machine = Machine { second: true, ..self.machine.clone() };
        self.second = Some(Vm::start(&machine, &disk, &dir)?);
        Ok(())
    }

    /// The second machine.
    ///
    /// # Errors
    /// When the scenario has none.
    pub fn peer(&mut self) -> Result<&mut Peer> {
        self.peer.as_mut().context("this scenario has no peer")
    }

    /// The real servers.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// One of them, to stop and start.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn server(&mut self, at: usize) -> Result<&mut Server> {
        self.servers.get_mut(at).context("there is no such server")
    }

    /// Ends the captures, which are there for who looks for the reason of a failure: where much is sent, they are in the way.
    pub fn stop_captures(&mut self) {
        for mut capture in self.captures.drain(..) {
            let _ = capture.kill();
            let _ = capture.wait();
        }
    }

    /// The scenario's own disk.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    /// Switches the machine on, on the scenario's disk.
    ///
    /// # Errors
    /// As [`Vm::start`].
    pub fn power_on(&mut self) -> Result<()> {
        ensure!(self.vm.is_none(), "the machine is on");
        self.vm = Some(Vm::start(&self.machine, &self.disk(), &self.dir)?);
        Ok(())
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn cut_power(&mut self) -> Result<()> {
        self.vm.take().context("the machine is off")?.cut_power()
    }

    /// Waits until the machine has gone off by itself.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        self.vm()?.wait_off(limit)?;
        self.vm = None;
        Ok(())
    }

    /// What can still be learnt from a machine on which a check has failed; and the console back at its prompt.
    fn gather(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let dir = self.dir.clone();
        let Some(vm) = self.vm.as_mut() else { return found };
        found.push(format!("console:\n{}", vm.console.serial.tail()));
        if let Err(error) = vm.console.recover() {
            found.push(format!("the console does not come back: {error:#}"));
            return found;
        }
        for (command, file) in [
            ("show tech-support", "tech-support.txt"),
            ("show running-config", "running-config.txt"),
            ("show warnings", "warnings.txt"),
        ] {
            match vm.console.run_within(command, Duration::from_secs(60)) {
                Ok(answer) => {
                    let _ = std::fs::write(dir.join(file), answer.text() + "\n");
                }
                Err(error) => found.push(format!("{command}: {error:#}")),
            }
        }
        found
    }
}

/// One scenario in the making.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What is around it.
    pub world: World,
    name: &'static str,
    report: &'a mut Report,
}

impl Scene<'_> {
    /// Builds the network, starts the real servers and captures, and lays a fresh disk under the machine.
    ///
    /// # Errors
    /// When a tool or a privilege is missing: the sentence says which.
    pub fn network(&mut self) -> Result<()> {
        self.world._net = Some(Net::up().context("build the network (needs root)")?);
        for bridge in ["br-out", "br-in", "br-far"] {
            let file = self.world.dir.join(format!("{bridge}.pcap"));
            let mut tcpdump = Ns::Hub.command("tcpdump");
            tcpdump.args(["-U", "-n", "-s", "256", "-i", bridge, "-w"]).arg(&file);
            let log = std::fs::File::create(self.world.dir.join(format!("{bridge}.log")))?;
            let child = tcpdump.stderr(log).spawn().context("start tcpdump (package tcpdump)")?;
            self.world.captures.push(child);
        }
        for ns in SERVERS {
            let server = Server::start(ns, &self.world.dir)?;
            self.world.servers.push(server);
        }
        Ok(())
    }

    /// Lays a fresh copy of the image under the machine and switches it on.
    ///
    /// # Errors
    /// When the image is missing or QEMU does not start.
    pub fn boot(&mut self, machine: Machine) -> Result<()> {
        disk::copy(&vm::image()?, &self.world.disk())?;
        self.world.machine = machine;
        self.world.power_on()
    }

    /// Switches the second machine on. It boots beside the director; [`Peer::wait_ready`] waits for it.
    ///
    /// # Errors
    /// As [`Peer::start`].
    pub fn boot_peer(&mut self) -> Result<()> {
        self.world.peer = Some(Peer::start(&self.world.dir)?);
        Ok(())
    }

    /// A check on its own: its failure is reported, and the scenario goes on.
    pub fn check(&mut self, name: &str, check: impl FnOnce(&mut World) -> Result<()>) {
        let _ = self.must(name, check);
    }

    /// A check the rest depends on.
    ///
    /// # Errors
    /// When it fails; the scenario passes that on.
    pub fn must<T>(&mut self, name: &str, check: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let full = format!("{}::{name}", self.name);
        let start = wait::now();
        let result = check(&mut self.world);
        let took = wait::now() - start;
        match &result {
            Ok(_) => self.report.passed(&full, took),
            Err(error) => {
                let found = self.world.gather();
                self.report.failed(&full, took, error, &self.world.dir, &found);
            }
        }
        result
    }

    /// Adds figures to the report, in the order they shall be printed.
    pub fn figures(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.report.figures.extend(figures);
    }
}

/// Counts, and prints as `cargo test` does.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failures: Vec<String>,
    /// How long each scenario took, boots and all.
    times: Vec<(&'static str, Duration)>,
    /// What was measured.
    pub figures: Vec<Figure>,
}

impl Report {
    fn passed(&mut self, name: &str, took: Duration) {
        self.passed += 1;
        say(&format!("test {name} ... ok ({:.1} s)", took.as_secs_f32()));
    }

    fn failed(&mut self, name: &str, took: Duration, error: &anyhow::Error, dir: &Path, found: &[String]) {
        say(&format!("test {name} ... FAILED ({:.1} s)", took.as_secs_f32()));
        let mut text = format!("---- {name} ----\n{error:#}\nsee {}\n", dir.display());
        for line in found {
            text.push_str(line);
            text.push('\n');
        }
        say(&text);
        self.failures.push(name.to_owned());
    }

    /// Runs one scenario to its end.
    pub fn run(&mut self, scenario: &Scenario) {
        let dir = crate::target().join("lab").join(scenario.name);
        let failed_before = self.failures.len();
        let start = wait::now();
        let result = self.scene(scenario, dir.clone());
        self.times.push((scenario.name, wait::now() - start));
        if let Err(error) = result {
            // A check that ended the scenario is on the list already.
            if self.failures.len() == failed_before {
                self.failed(&format!("{}::setup", scenario.name), Duration::ZERO, &error, &dir, &[]);
            }
            say(&format!("test {} ... FAILED: its remaining checks did not run", scenario.name));
            self.failures.push(format!("{} (remaining checks)", scenario.name));
        }
        if self.failures.len() == failed_before {
            // Disks and captures are only of use with a failure.
            let _ = std::fs::remove_dir_all(&dir);
        }
    }

    fn scene(&mut self, scenario: &Scenario, dir: PathBuf) -> Result<()> {
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let machine = Machine::default();
        let world = World {
            dir,
            machine,
            vm: None,
            second: None,
            peer: None,
            servers: Vec::new(),
            captures: Vec::new(),
            _net: None,
        };
        let mut scene = Scene { world, name: scenario.name, report: self };
        let result = (scenario.run)(&mut scene);
        scene.world.vm = None;
        scene.world.second = None;
        scene.world.peer = None;
        scene.world.servers.clear();
        scene.world.stop_captures();
        result
    }

    /// Takes over what another report has counted.
    pub fn absorb(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.times.extend(other.times);
        self.figures.extend(other.figures);
    }

    /// Where the time went, and the last line. Fails when a check has failed, or when there was none.
    ///
    /// # Errors
    /// The names of what failed.
    pub fn finish(mut self, took: Duration) -> Result<()> {
        if self.times.len() > 1 {
            self.times.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
            say("");
            for (name, took) in &self.times {
                say(&format!("{name:24} {:6.1} s", took.as_secs_f32()));
            }
        }
        if !self.failures.is_empty() {
            say("\nfailures:");
            for name in &self.failures {
                say(&format!("    {name}"));
            }
        }
        let word = if self.failures.is_empty() { "ok" } else { "FAILED" };
        say(&format!(
            "\ntest result: {word}. {} passed; {} failed; 0 ignored; finished in {:.2}s\n",
            self.passed,
            self.failures.len(),
            took.as_secs_f32()
        ));
        if !self.failures.is_empty() {
            bail!("{} of {} checks failed", self.failures.len(), self.failures.len() + self.passed);
        }
        ensure!(self.passed > 0, "no check has run: does the filter name a scenario?");
        Ok(())
    }
}

/// Prints a line at once, for whoever watches.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody watches any more: the exit status still tells.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
