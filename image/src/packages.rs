//! Which packages the quick base needs, what the index says about them, and getting them.
//!
//! Dependencies are followed only to shared libraries (sections `libs` and `oldlibs`) and from the kernel's metapackage to the
//! kernel: nothing is installed, so what maintainer scripts would need is not needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::apt::Apt;
use crate::tool::Tools;

/// A line of `base/packages.list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub name: String,
    /// Paths of it that enter the slot's root, relative to `/`.
    pub paths: Vec<String>,
}

/// Reads `base/packages.list`.
#[must_use]
pub fn parse_list(text: &str) -> Vec<Wanted> {
    let mut list = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned);
        if let Some(name) = words.next() {
            list.push(Wanted { name, paths: words.collect() });
        }
    }
    list
}

/// A package as the signed index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, epoch included.
    pub version: String,
    /// Its section, such as `libs`.
    pub section: String,
    /// Hash of the file, hexadecimal.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// `Pre-Depends` and `Depends`: of each, the names that satisfy it.
    pub depends: Vec<Vec<String>>,
}

impl Package {
    /// Reads a paragraph of the index.
    fn from_paragraph(paragraph: &BTreeMap<String, String>) -> Result<Self> {
        let field = |name: &str| paragraph.get(name).cloned().unwrap_or_default();
        let must = |name: &str| match paragraph.get(name) {
            Some(value) => Ok(value.clone()),
            None => bail!("package {}: the index has no {name}", field("Package")),
        };
        let mut depends = parse_depends(&field("Pre-Depends"));
        depends.extend(parse_depends(&field("Depends")));
        Ok(Self {
            name: must("Package")?,
            version: must("Version")?,
            section: field("Section"),
            sha256: must("SHA256")?,
            size: must("Size")?.parse().context("size of a package")?,
            depends,
        })
    }

    /// The file that apt makes of it; it escapes the colon of an epoch.
    #[must_use]
    pub fn file_name(&self) -> String {
        let version = self.version.replace(':', "%3a");
        // `Architecture: all` packages end in `_all.deb`; there is no need to know which, see `find`.
        format!("{}_{version}", self.name)
    }

    /// The downloaded file.
    ///
    /// # Errors
    /// It is not there, or not the one that the index means.
    pub(crate) fn file(&self, archives: &Path) -> Result<PathBuf> {
        let lacking = || format!("package {}: the downloaded file is not the one of the index", self.name);
        self.find(archives).with_context(lacking)
    }

    /// The downloaded file, if it is there and is the one that the index means.
    fn find(&self, archives: &Path) -> Option<PathBuf> {
        ["amd64", "all"].iter().find_map(|architecture| {
            let path = archives.join(format!("{}_{architecture}.deb", self.file_name()));
            let bytes = fs::read(&path).ok()?;
            (bytes.len() as u64 == self.size && sha256(&bytes) == self.sha256).then_some(path)
        })
    }
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Splits control data into paragraphs of fields. Lines that continue a field are joined to it by a newline.
#[must_use]
pub fn parse_paragraphs(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut paragraphs = Vec::new();
    let mut current: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            if !current.is_empty() {
                paragraphs.push(std::mem::take(&mut current));
            }
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = current.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            name.clone_into(&mut last);
            current.insert(last.clone(), value.trim().to_owned());
        }
    }
    paragraphs
}

/// Reads a dependency field: `a (>= 1) | b:any, c [amd64]` gives `[[a, b], [c]]`.
#[must_use]
pub fn parse_depends(field: &str) -> Vec<Vec<String>> {
    let name = |alternative: &str| -> Option<String> {
        let word = alternative.split(['(', '[', '<']).next()?.trim();
        let word = word.split(':').next()?;
        (!word.is_empty()).then(|| word.to_owned())
    };
    field
        .split(',')
        .map(|group| group.split('|').filter_map(name).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}

/// The names that `package` makes necessary.
fn follow(package: &Package) -> impl Iterator<Item = &str> {
    package.depends.iter().filter_map(|group| group.first()).map(String::as_str)
}

/// Whether a package that was only depended on belongs to the base.
fn is_needed(package: &Package) -> bool {
    matches!(package.section.as_str(), "libs" | "oldlibs") || package.name.starts_with("linux-image-")
}

/// Resolves `wanted` and what it needs to current versions. `show` is [`Apt::show`].
///
/// # Errors
/// The index does not have a package of the list. A dependency that it does not have is left to the check of shared libraries.
pub fn resolve(wanted: &[Wanted], show: &dyn Fn(&[String]) -> Result<String>) -> Result<Vec<Package>> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let mut asked: BTreeSet<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
    let mut level: Vec<String> = asked.iter().cloned().collect();
    let mut first = true;
    while !level.is_empty() {
        let mut next = BTreeSet::new();
        for paragraph in parse_paragraphs(&show(&level)?) {
            let package = Package::from_paragraph(&paragraph)?;
            if first || is_needed(&package) {
                next.extend(follow(&package).map(str::to_owned));
                found.insert(package.name.clone(), package);
            }
        }
        if first && let Some(missing) = level.iter().find(|name| !found.contains_key(*name)) {
            bail!("package {missing}: the mirror's index does not have it");
        }
        first = false;
        level = next.difference(&asked).cloned().collect();
        asked.extend(next);
    }
    Ok(found.into_values().collect())
}

/// Downloads what is not there yet, and forgets packages that are no longer used.
///
/// # Errors
/// The mirror does not answer, or no longer has a version that its index names.
pub fn download(apt: &Apt, packages: &[Package], say: &dyn Fn(&str)) -> Result<()> {
    let archives = apt.archives();
    let missing: Vec<&Package> = packages.iter().filter(|package| package.find(&archives).is_none()).collect();
    if !missing.is_empty() {
        let size: u64 = missing.iter().map(|package| package.size).sum();
        say(&format!("packages: download {} of {}, {} MB", missing.len(), packages.len(), size / 1_000_000));
        let names: Vec<String> = missing.iter().map(|p| format!("{}={}", p.name, p.version)).collect();
        apt.download(&names, say)?;
    }
    // A kernel is 100 MB, and every update of one would stay.
    let kept: BTreeSet<PathBuf> = packages.iter().filter_map(|package| package.find(&archives)).collect();
    for entry in fs::read_dir(&archives).with_context(|| format!("{}", archives.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") && !kept.contains(&path) {
            crate::files::remove(&path)?;
        }
    }
    Ok(())
}

/// Unpacks everything into an empty `target`.
///
/// # Errors
/// A file is not what the signed index says.
pub fn unpack(apt: &Apt, packages: &[Package], target: &Path, say: &dyn Fn(&str)) -> Result<()> {
    say(&format!("packages: unpack {}", packages.len()));
    let archives = apt.archives();
    crate::files::fresh_dir(target)?;
    for package in packages {
        crate::apt::unpack(&package.file(&archives)?, target)?;
    }
    ensure!(Tools::new(target.to_owned()).are_there(), "the packages have no dynamic loader, libc6 was not among them");
    Ok(())
}

/// The record of a base: every package with version, hash and the licences that its copyright file names.
#[must_use]
pub fn record(packages: &[Package], unpacked: &Path, kernel: &str) -> serde_json::Value {
    let packages: Vec<_> = packages
        .iter()
        .map(|package| {
            let copyright = unpacked.join("usr/share/doc").join(&package.name).join("copyright");
            let text = fs::read(copyright).unwrap_or_default();
            json!({
                "name": package.name,
                "version": package.version,
                "sha256": package.sha256,
                "licences": parse_licences(&String::from_utf8_lossy(&text)),
            })
        })
        .collect();
    json!({ "base": "quick", "release": "debian 13", "kernel": kernel, "packages": packages })
}

/// The short names of a machine-readable copyright file; none when it is prose.
fn parse_licences(copyright: &str) -> BTreeSet<String> {
    let names = copyright.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
