//! Runs external programs: those of the build machine, and those of unpacked packages through their own dynamic loader.
//!
//! The second kind is what makes a build need neither root nor an installed squashfs-tools, and gives the same versions on every
//! machine. This module knows nothing of what the programs do.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Where Debian's amd64 libraries are below an unpacked root.
pub const LIB_DIR: &str = "usr/lib/x86_64-linux-gnu";
/// The dynamic loader below [`LIB_DIR`].
pub const LOADER: &str = "ld-linux-x86-64.so.2";

/// The programs that assemble a disk: of a tree of unpacked packages, or of Buildroot's `host` directory.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
    /// Linked for this machine, with their own library path.
    native: bool,
}

impl Tools {
    /// The programs below `root`, an absolute path.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, native: false }
    }

    /// The programs of `host`, Buildroot's HOST_DIR. They are found by name, wherever below it Debian would have them.
    #[must_use]
    pub fn of_host(host: PathBuf) -> Self {
        Self { root: host, native: true }
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether packages were unpacked there at all.
    #[must_use]
    pub fn are_there(&self) -> bool {
        self.root.join(LIB_DIR).join(LOADER).exists()
    }

    /// A command that runs `program` (a path below the root), which sees itself called by its last component.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let name = program.rsplit('/').next().unwrap_or(program);
        self.command_as(program, name)
    }

    /// The same for programs that look at the name they are called by, such as `mtools` and `kmod`.
    #[must_use]
    pub fn command_as(&self, program: &str, name: &str) -> Command {
        if self.native {
            let [bin, sbin] = ["bin", "sbin"].map(|dir| self.root.join(dir).join(name));
            let mut command = Command::new(if sbin.exists() { sbin } else { bin });
            command.env("LC_ALL", "C").env("MTOOLSRC", "/dev/null");
            return command;
        }
        let mut command = self.loader();
        command.args(["--argv0", name]).arg(self.root.join(program));
        // Programs of the packages must not read settings of the build machine.
        command.env("LC_ALL", "C").env("MKE2FS_CONFIG", self.root.join("etc/mke2fs.conf")).env("MTOOLSRC", "/dev/null");
        command.env("GCONV_PATH", self.root.join(LIB_DIR).join("gconv"));
        command
    }

    /// The shared libraries that `program` (a path below the root) needs, as file names in [`LIB_DIR`].
    ///
    /// # Errors
    /// A library is not below the root, or the program is not an ELF file for this loader.
    pub fn libraries(&self, program: &str) -> Result<Vec<String>> {
        let output = run(self.loader().arg("--list").arg(self.root.join(program)))?;
        parse_libraries(&String::from_utf8_lossy(&output.stdout)).with_context(|| program.to_owned())
    }

    fn loader(&self) -> Command {
        let libraries = self.root.join(LIB_DIR);
        let mut command = Command::new(libraries.join(LOADER));
        command.arg("--inhibit-cache").arg("--library-path").arg(libraries);
        command
    }
}

/// Reads the output of `ld.so --list`.
fn parse_libraries(list: &str) -> Result<Vec<String>> {
    let mut libraries = Vec::new();
    for line in list.lines().map(str::trim) {
        // `libc.so.6 => /path/libc.so.6 (0x...)`; lines without an arrow are the loader and the vDSO.
        let Some((name, target)) = line.split_once(" => ") else { continue };
        if target.starts_with("not found") {
            bail!("shared library {name} is in no package, add one to image/base/packages.list");
        }
        // In newer versions the loader has an arrow too, and is placed apart.
        if Path::new(name).file_name().is_some_and(|name| name != LOADER) {
            libraries.push(name.to_owned());
        }
    }
    Ok(libraries)
}

/// Runs a command to its end and returns its output.
///
/// # Errors
/// The program is missing, or it failed: then the error holds what it wrote to stderr.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| missing(command))?;
    if !output.status.success() {
        bail!("{}: {}\n{}", name(command), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output)
}

/// Runs a command to its end and hands each line of its output to `say` while it runs. Its stderr stays that of the build.
///
/// # Errors
/// The program is missing, or it failed.
pub fn run_aloud(command: &mut Command, say: &dyn Fn(&str)) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| missing(command))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            say(&format!(" {}", line.with_context(|| name(command))?));
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{}: {status}", name(command));
    }
    Ok(())
}

/// The program's own name: behind the loader it is the argument that follows `--argv0`.
fn name(command: &Command) -> String {
    let args: Vec<_> = command.get_args().collect();
    let argv0 = args.iter().position(|arg| *arg == "--argv0").and_then(|at| args.get(at + 1));
    argv0.copied().unwrap_or(command.get_program()).to_string_lossy().into_owned()
}

fn missing(command: &Command) -> String {
    let name = name(command);
    match name.as_str() {
        "apt-get" | "apt-cache" | "dpkg-deb" => {
            format!("{name}: cannot be run; the quick base is made on Debian or its kin")
        }
        _ => format!("{name}: cannot be run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_lines_with_an_arrow() {
        let list = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibedit.so.2 => /r/libedit.so.2 (0x1)\n\
                    \tlibc.so.6 => /r/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 => /r/ld-linux-x86-64.so.2 (0x3)\n";
        assert_eq!(parse_libraries(list).expect("parses"), ["libedit.so.2", "libc.so.6"]);
        assert_eq!(parse_libraries("\tstatically linked\n").expect("parses"), [""; 0]);
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse_libraries("\tlibx.so.1 => not found\n").expect_err("is missing");
        assert!(error.to_string().contains("libx.so.1"));
    }

    #[test]
    fn an_error_names_the_program_not_the_loader() {
        let tools = Tools::new(PathBuf::from("/nonexistent"));
        let error = run(&mut tools.command_as("usr/bin/mtools", "mcopy")).expect_err("is not there");
        assert!(error.to_string().starts_with("mcopy: "), "{error}");
    }
}
