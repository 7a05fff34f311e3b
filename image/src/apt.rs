//! A private apt: its own sources, keys, lists and cache below the output directory, run without root and without touching what
//! the machine has installed. The machine's `apt.conf` (proxies, credentials) stays in force; its sources and pins do not.
//!
//! Which packages, and what becomes of them, is the business of [`crate::packages`] and [`crate::base`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::files;
use crate::tool::{run, run_aloud};

const SOURCES: &str = include_str!("../apt/debian.sources");
const KEYS: [(&str, &str); 3] = [
    ("debian-archive-trixie-automatic.asc", include_str!("../apt/keys/debian-archive-trixie-automatic.asc")),
    (
        "debian-archive-trixie-security-automatic.asc",
        include_str!("../apt/keys/debian-archive-trixie-security-automatic.asc"),
    ),
    ("debian-archive-trixie-stable.asc", include_str!("../apt/keys/debian-archive-trixie-stable.asc")),
];

/// Names of Debian releases whose mirror also has the release of the base.
const RELEASES: [&str; 9] =
    ["bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"];

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The archive, as apt's `URIs:` takes it.
    pub main: String,
    /// The archive of security updates.
    pub security: String,
}

impl Mirrors {
    /// `YOKE_MIRROR` and `YOKE_SECURITY_MIRROR`, else what the machine's own apt uses.
    ///
    /// # Errors
    /// The machine has no Debian mirror configured and none is given.
    pub fn find() -> Result<Self> {
        let machine = Self::of_machine(Path::new("/etc/apt"));
        let Some(main) = env::var("YOKE_MIRROR").ok().or_else(|| machine.as_ref().map(|m| m.main.clone())) else {
            bail!("/etc/apt names no Debian mirror, use: YOKE_MIRROR=<URL of a Debian mirror> cargo xtask image");
        };
        let security = env::var("YOKE_SECURITY_MIRROR").ok().or_else(|| match env::var("YOKE_MIRROR") {
            // Who gives one mirror means it for both.
            Ok(_) => None,
            Err(_) => machine.map(|m| m.security),
        });
        Ok(Self { security: security.unwrap_or_else(|| security_beside(&main)), main })
    }

    fn of_machine(dir: &Path) -> Option<Self> {
        let mut files = vec![dir.join("sources.list")];
        if let Ok(entries) = fs::read_dir(dir.join("sources.list.d")) {
            let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            more.sort();
            files.extend(more);
        }
        let mut entries = Vec::new();
        for file in files {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => entries.extend(parse_list(&text)),
                Some("sources") => entries.extend(parse_deb822(&text)),
                _ => {}
            }
        }
        Self::choose(&entries)
    }

    /// The first archive of a Debian release among `(URI, suite)`, and its security archive.
    fn choose(entries: &[(String, String)]) -> Option<Self> {
        let usable = |uri: &str| !uri.starts_with("cdrom:") && !uri.starts_with("file:");
        let main = entries.iter().find(|(uri, suite)| usable(uri) && RELEASES.contains(&suite.as_str()))?;
        let security = entries.iter().find(|(uri, suite)| {
            let release = suite.strip_suffix("-security").or_else(|| suite.strip_suffix("/updates"));
            usable(uri) && release.is_some_and(|release| RELEASES.contains(&release))
        });
        let security = security.map_or_else(|| security_beside(&main.0), |(uri, _)| uri.clone());
        Some(Self { main: main.0.clone(), security })
    }
}

/// By custom a mirror has the security archive as `debian-security` beside `debian`.
fn security_beside(main: &str) -> String {
    format!("{}-security", main.trim_end_matches('/'))
}

/// `deb [options] URI SUITE COMPONENT...` lines.
fn parse_list(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        let rest = rest.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']').map_or("", |(_, rest)| rest) } else { rest };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            entries.push((uri.to_owned(), suite.to_owned()));
        }
    }
    entries
}

/// Paragraphs with `Types:`, `URIs:` and `Suites:` (sources.list(5), deb822 style).
fn parse_deb822(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for paragraph in crate::packages::parse_paragraphs(text) {
        let words = |field: &str| -> Vec<&str> {
            paragraph.get(field).map(|value| value.split_whitespace().collect()).unwrap_or_default()
        };
        if !words("Types").contains(&"deb") || words("Enabled") == ["no"] {
            continue;
        }
        for uri in words("URIs") {
            entries.extend(words("Suites").into_iter().map(|suite| (uri.to_owned(), suite.to_owned())));
        }
    }
    entries
}

/// A private apt root.
#[derive(Debug)]
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Lays it down in `dir`, an absolute path; what is cached there stays.
    ///
    /// # Errors
    /// No mirror is known, or a file cannot be written.
    pub fn new(dir: PathBuf) -> Result<Self> {
        for name in ["lists/partial", "archives/partial", "keys"] {
            files::make_dir(&dir.join(name))?;
        }
        for (name, key) in KEYS {
            files::write(&dir.join("keys").join(name), key, 0o644)?;
        }
        let mirrors = Mirrors::find()?;
        let root = dir.to_str().context("the output directory's name is not UTF-8")?;
        let sources = SOURCES
            .replace("@MIRROR@", &mirrors.main)
            .replace("@SECURITY@", &mirrors.security)
            .replace("@KEYS@", &format!("{root}/keys"));
        files::write(&dir.join("debian.sources"), sources, 0o644)?;
        // No package is installed as far as this apt knows.
        files::write(&dir.join("status"), "", 0o644)?;
        files::write(&dir.join("apt.conf"), config(root), 0o644)?;
        Ok(Self { dir })
    }

    /// Fetches the signed indexes if they changed.
    ///
    /// # Errors
    /// The mirror does not answer, or a signature is wrong.
    pub fn update(&self, say: &dyn Fn(&str)) -> Result<()> {
        // Without this an unreachable mirror is a warning and the old lists count as current.
        run_aloud(self.command("apt-get").args(["-q", "--error-on=any", "update"]), say)
    }

    /// Whether an index was ever fetched.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        fs::read_dir(self.dir.join("lists"))
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().to_string_lossy().contains("_Packages")))
    }

    /// The index's paragraphs of the current versions of these packages, as `apt-cache show` prints them; an unknown name has none.
    ///
    /// # Errors
    /// `apt-cache` cannot be run.
    pub fn show(&self, names: &[String]) -> Result<String> {
        let mut command = self.command("apt-cache");
        command.args(["show", "--no-all-versions"]).args(names);
        // It fails when no name at all is known; who asked sees that by what is missing.
        let output =
            command.output().context("apt-cache: cannot be run; the quick base is made on Debian or its kin")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Downloads `name=version` pairs into [`Apt::archives`]; apt checks them against the signed index.
    ///
    /// # Errors
    /// The mirror does not answer or no longer has that version.
    pub fn download(&self, packages: &[String], say: &dyn Fn(&str)) -> Result<()> {
        let mut command = self.command("apt-get");
        command.args(["-q", "download"]).args(packages).current_dir(self.archives());
        run_aloud(&mut command, say)
    }

    /// Where downloaded packages are.
    #[must_use]
    pub fn archives(&self) -> PathBuf {
        self.dir.join("archives")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// Read after the machine's own configuration. The hooks of a machine are for its own package lists.
fn config(root: &str) -> String {
    format!(
        "#clear APT::Update;\n\
         #clear DPkg;\n\
         Dir::State \"{root}\";\n\
         Dir::State::lists \"lists\";\n\
         Dir::State::status \"{root}/status\";\n\
         Dir::Cache \"{root}\";\n\
         Dir::Cache::archives \"archives\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Cache::srcpkgcache \"srcpkgcache.bin\";\n\
         Dir::Etc::sourcelist \"{root}/debian.sources\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Default-Release \"\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"1\";\n"
    )
}

/// Unpacks a package into `target` without running anything of it.
///
/// # Errors
/// `dpkg-deb` is missing or the file is damaged.
pub fn unpack(deb: &Path, target: &Path) -> Result<()> {
    run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(target))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(main: &str, security: &str) -> Mirrors {
        Mirrors { main: main.into(), security: security.into() }
    }

    #[test]
    fn one_line_sources_with_options_and_a_cdrom() {
        let text = "# deb http://old/debian bookworm main\n\
                    deb cdrom:[Debian 12]/ bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://other.example bookworm-tools main\n\
                    deb-src http://src.example/debian bookworm main\n\
                    deb [ trusted=no ] http://m.example/debian bookworm main non-free\n\
                    deb http://s.example/debian-security bookworm-security main\n";
        let found = Mirrors::choose(&parse_list(text));
        assert_eq!(found, Some(mirrors("http://m.example/debian", "http://s.example/debian-security")));
    }

    #[test]
    fn deb822_sources() {
        let text = "Types: deb deb-src\nURIs: http://m.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm-security\n";
        let found = Mirrors::choose(&parse_deb822(text));
        assert_eq!(found, Some(mirrors("http://m.example/debian/", "http://m.example/debian-security")));
    }

    #[test]
    fn a_machine_without_debian_has_no_mirror() {
        let entries = parse_list("deb http://x.example/ubuntu noble main\n");
        assert_eq!(Mirrors::choose(&entries), None);
    }

    #[test]
    fn every_key_of_the_sources_is_shipped() {
        for word in SOURCES.split_whitespace().filter_map(|word| word.strip_prefix("@KEYS@/")) {
            assert!(KEYS.iter().any(|(name, _)| *name == word), "{word}");
        }
    }
}
