//! Two disks that were both written with the raw image: they have the same GUIDs, and the loader, which goes by those, may have read either.
//!
//! What runs is all of one disk, but which one is chance, and what is written for the next start may be written beside the disk that starts then.
//! So nothing is written for a next start while both are there. Names of their own they get by `install disk`, not by themselves: firmware of
//! machines keeps the GUID of what it starts, and a table that is changed at a start is one more thing that a power cut can halve.

use std::path::Path;

use yoke_init::block;

/// What is wrong with the disks of this box, if it is that.
#[must_use]
pub fn look() -> Option<String> {
    let running = block::disk_under(Path::new("/")).ok()?;
    sentence(&running, &block::twins(&running))
}

/// What is to be said of `twins` of the disk `running`.
#[must_use]
pub fn sentence(running: &str, twins: &[String]) -> Option<String> {
    let first = twins.first()?;
    let names = twins.join(", ");
    Some(format!(
        "{names}: has the same GUIDs as {running}, from which this box runs: both were written with one image, and which of them starts next is \
         chance; take one out, or give it names of its own, over all that is on it: install disk {first}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_named_with_the_way_out() {
        assert_eq!(sentence("vda", &[]), None);
        let said = sentence("vda", &["vdb".to_owned(), "vdc".to_owned()]).expect("said");
        assert!(
            said.starts_with("vdb, vdc: has the same GUIDs as vda") && said.ends_with("install disk vdb"),
            "{said}"
        );
    }
}
