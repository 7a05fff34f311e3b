//! The client's SSH: OpenSSH with keys and with passwords, and netmiko.
//!
//! Host keys are kept in a file of the scenario, and from the first connection on they must not change.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::disk::run;
use crate::net::Ns;

/// What a user of SSH has on his machine.
#[derive(Debug)]
pub struct Ssh {
    home: PathBuf,
}

impl Ssh {
    /// Makes a key pair below `dir`.
    ///
    /// # Errors
    /// When ssh-keygen is missing.
    pub fn new(dir: &Path) -> Result<Self> {
        let home = dir.join("ssh");
        std::fs::create_dir_all(&home)?;
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(home.join("key"));
        run(&mut keygen).context("package openssh-client")?;
        Ok(Self { home })
    }

    /// The public key: type and base64.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn public_key(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.home.join("key.pub"))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn options(&self) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}", self.home.join("known_hosts").display());
        ["-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-o", &known, "-o", "ConnectTimeout=20"]
            .map(str::to_owned)
            .to_vec()
    }

    fn key(&self, user: &str, host: &str) -> Command {
        let mut ssh = Ns::Client.command("ssh");
        ssh.args(self.options()).args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]);
        ssh.arg(self.home.join("key")).arg(format!("{user}@{host}"));
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh
    }

    /// Runs `command` on `host` as `user`, who has the key.
    ///
    /// # Errors
    /// When ssh cannot be run.
    pub fn with_key(&self, user: &str, host: &str, command: &str, stdin: impl AsRef<[u8]>) -> Result<Output> {
        let mut ssh = self.key(user, host);
        if !command.is_empty() {
            ssh.arg(command);
        }
        let mut child = ssh.spawn()?;
        let mut input = child.stdin.take().context("stdin is piped")?;
        // A box that refuses closes before it has read.
        let _ = input.write_all(stdin.as_ref());
        drop(input);
        child.wait_with_output().context("run ssh")
    }

    /// A session with a terminal, in which nothing is typed. It lasts until the child is killed.
    ///
    /// # Errors
    /// When ssh cannot be run.
    pub fn hold(&self, user: &str, host: &str) -> Result<Child> {
        self.key(user, host).arg("-tt").spawn().context("run ssh")
    }

    /// The same with a password.
    ///
    /// # Errors
    /// When sshpass cannot be run.
    pub fn with_password(&self, user: &str, password: &str, host: &str, command: &str) -> Result<Output> {
        let mut ssh = Ns::Client.command("sshpass");
        ssh.args(["-p", password, "ssh"]).args(self.options());
        ssh.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
        ssh.arg(format!("{user}@{host}")).arg(command).output().context("run sshpass (package sshpass)")
    }
}

/// Standard output of a run that ended with 0.
///
/// # Errors
/// The status, and both outputs.
pub fn stdout(output: &Output) -> Result<String> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "ssh ends with {:?}: {out}{err}", output.status.code());
    Ok(out.into_owned())
}

/// Runs `netmiko_ios.py` from the client against `host`, in an environment of its own below `target`.
///
/// # Errors
/// What netmiko found wrong, or when it cannot be installed.
pub fn netmiko(host: &str, user: &str, password: &str) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = crate::target().join("lab-venv");
    let wanted = std::fs::read(here.join("requirements.txt"))?;
    // Written last: an interrupted installation is done again.
    let done = venv.join("installed");
    if std::fs::read(&done).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context("package python3-venv")?;
        let mut pip = Command::new(venv.join("bin/pip"));
        run(pip.args(["install", "--quiet", "--requirement"]).arg(here.join("requirements.txt")))?;
        std::fs::write(&done, wanted)?;
    }
    let mut python = Ns::Client.command(&venv.join("bin/python").display().to_string());
    run(python.arg(here.join("netmiko_ios.py")).args([host, user, password]))?;
    Ok(())
}
