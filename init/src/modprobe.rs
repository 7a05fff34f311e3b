//! Loads modules: for stage 1, for the drivers of what is plugged in, and as `/sbin/modprobe`, which the kernel runs when
//! somebody wants what it does not have (an IPVS scheduler, a netfilter expression, a file system).
//!
//! Which and in which order is `modules`' to say. There is no `modprobe.d` and nothing is ever removed.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::cmdline::Cmdline;
use crate::modules::{Index, normalized};

/// `options NAME PARAMETER...` lines that follow the configuration, such as `options ip_vs conn_tab_bits=20`; written by
/// the director before the module is first needed, absent otherwise.
pub const OPTIONS_FILE: &str = "/run/yoke/modprobe.conf";

/// Options that are always given. These three would otherwise create a device at once that nobody asked for.
const ALWAYS: [(&str, &str); 3] = [("bonding", "max_bonds=0"), ("dummy", "numdummies=0"), ("ifb", "numifbs=0")];

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel decompresses the file itself.
const COMPRESSED: u32 = 4;

/// Why a module is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither module nor alias, in this kernel's directory.
    #[error("module {0}: not in this image")]
    Unknown(String),
    /// The kernel refused; `ENODEV` means that the driver found no hardware it can serve.
    #[error("module {name}: {}", errno.desc())]
    Refused {
        /// Which, of those that were wanted.
        name: String,
        /// As finit_module(2) or open(2) said.
        errno: Errno,
    },
}

/// The modules of the running kernel, and what is loaded already.
#[derive(Debug)]
pub struct Loader {
    dir: PathBuf,
    /// What the text files say.
    pub index: Index,
    cmdline: Cmdline,
    options: String,
    /// Spares a look into `/sys` for each of the shared needs.
    present: BTreeSet<String>,
}

impl Loader {
    /// Reads the index of the running kernel. Files that are missing count as empty; `/proc` must be mounted.
    #[must_use]
    pub fn new() -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let dir = Path::new("/lib/modules").join(release.trim_end());
        let text = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
        let index = Index::parse(
            &text("modules.dep"),
            &text("modules.alias"),
            &text("modules.softdep"),
            &text("modules.builtin"),
        );
        let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
        let options = fs::read_to_string(OPTIONS_FILE).unwrap_or_default();
        Self { dir, index, cmdline, options, present: BTreeSet::new() }
    }

    /// Loads everything that `name`, a module or an alias, stands for. Several providers of an alias count as one: it is
    /// enough that one of them stays.
    ///
    /// # Errors
    /// [`Error`] of the last provider when none stays.
    pub fn load(&mut self, name: &str) -> Result<(), Error> {
        let providers = self.index.resolve(name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        let mut outcome = Ok(());
        let mut any = providers.is_empty();
        for provider in providers {
            match self.load_module(&provider) {
                Ok(()) => any = true,
                Err(error) => outcome = Err(error),
            }
        }
        if any { Ok(()) } else { outcome }
    }

    /// Loads one module after everything it needs. What fails among the needs shows in the module itself, as a missing
    /// symbol; what fails among the soft needs does not matter.
    ///
    /// # Errors
    /// [`Error::Refused`] for the module itself.
    pub fn load_module(&mut self, name: &str) -> Result<(), Error> {
        let mut outcome = Ok(());
        for module in self.index.load_order(name) {
            let done = self.insert(&module);
            if module == name {
                outcome = done;
            }
        }
        outcome
    }

    /// Loads one file unless it is there already.
    fn insert(&mut self, name: &str) -> Result<(), Error> {
        if self.present.contains(name) {
            return Ok(());
        }
        // The kernel finds out that a module is present only after it has read and decompressed the file.
        let state = fs::read_to_string(format!("/sys/module/{name}/initstate")).unwrap_or_default();
        let done = if state.trim_end() == "live" { Ok(()) } else { self.insert_file(name) };
        match done {
            Ok(()) | Err(Errno::EEXIST) => {
                self.present.insert(name.to_owned());
                Ok(())
            }
            Err(errno) => Err(Error::Refused { name: name.to_owned(), errno }),
        }
    }

    fn insert_file(&self, name: &str) -> Result<(), Errno> {
        let path = self.dir.join(&self.index.module(name).ok_or(Errno::ENOENT)?.path);
        let file = File::open(&path).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
        let plain = path.extension().is_some_and(|extension| extension == "ko");
        let flags = if plain { ModuleInitFlags::empty() } else { ModuleInitFlags::from_bits_retain(COMPRESSED) };
        let options = CString::new(self.options_of(name)).map_err(|_| Errno::EINVAL)?;
        finit_module(&file, &options, flags)
    }

    /// Everything said about `name`, weakest first: the kernel lets the last word count.
    fn options_of(&self, name: &str) -> String {
        let always = ALWAYS.iter().filter(|(module, _)| *module == name).map(|(_, options)| (*options).to_owned());
        let configured = self.options.lines().filter_map(|line| {
            let (module, options) = line.strip_prefix("options ")?.trim_start().split_once(' ')?;
            (normalized(module) == name).then(|| options.trim().to_owned())
        });
        let given = self.cmdline.module_options(name);
        always.chain(configured).chain(given).collect::<Vec<_>>().join(" ")
    }
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

/// `modprobe [-q] [--] NAME...`, the calls of the kernel and of habit. The exit status is 1 when a name did not load.
#[must_use]
pub fn main(arguments: &[String]) -> u8 {
    let quiet = arguments.iter().any(|argument| argument == "-q");
    let mut loader = Loader::new();
    let mut status = 0;
    for name in arguments.iter().filter(|argument| !argument.starts_with('-')) {
        if let Err(error) = loader.load(name) {
            status = 1;
            if !quiet {
                crate::say::problem(&error.to_string());
            }
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_from_the_image_the_configuration_and_the_boot_line_in_that_order() {
        let loader = Loader {
            dir: PathBuf::new(),
            index: Index::default(),
            cmdline: Cmdline::parse("ip_vs.conn_tab_bits=22 bonding.miimon=50"),
            options: "options ip-vs conn_tab_bits=20\noptions ip_vs_sh x=1\nnonsense\n".into(),
            present: BTreeSet::new(),
        };
        assert_eq!(loader.options_of("ip_vs"), "conn_tab_bits=20 conn_tab_bits=22");
        assert_eq!(loader.options_of("bonding"), "max_bonds=0 miimon=50");
        assert_eq!(loader.options_of("veth"), "");
    }
}
