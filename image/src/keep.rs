//! A disk to boot here again and again: a copy of the image that keeps its configuration when the image is made anew.
//!
//! It is for `cargo xtask run` only. A box in the field gets a new slot by `install add`, never a new disk.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use yoke_install::layout;

/// Makes `disk` a copy of `image` unless it is newer; the config partition of a `disk` that is there stays as it is.
///
/// # Errors
/// Those of the file system; `disk` is replaced only when the copy is complete.
pub fn refresh(image: &Path, disk: &Path) -> Result<()> {
    let made = |path: &Path| fs::metadata(path).and_then(|it| it.modified());
    let built = made(image).with_context(|| format!("{}", image.display()))?;
    if made(disk).is_ok_and(|copied| copied > built) {
        return Ok(());
    }
    let draft = disk.with_extension("new");
    fs::copy(image, &draft).with_context(|| format!("{}", draft.display()))?;
    if let Ok(mut old) = File::open(disk) {
        let (starts, _) = layout::offsets();
        let [.., start] = starts;
        let [.., config] = &layout::LAYOUT;
        old.seek(SeekFrom::Start(start))?;
        let mut kept = Vec::new();
        old.take(config.bytes).read_to_end(&mut kept)?;
        let mut new = File::options().write(true).open(&draft)?;
        new.seek(SeekFrom::Start(start))?;
        new.write_all(&kept)?;
    }
    fs::rename(&draft, disk)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_image_replaces_everything_but_the_configuration() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("yoke-keep-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let (image, copy) = (dir.join("image"), dir.join("disk"));
        let ([_, _, slot, _, config], size) = layout::offsets();
        let fill = |path: &Path, byte: u8| -> Result<()> {
            let mut file = File::create(path)?;
            file.set_len(size)?;
            for at in [slot, config] {
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&[byte])?;
            }
            Ok(())
        };
        let read = |at: u64| -> Result<u8> {
            let mut file = File::open(&copy)?;
            file.seek(SeekFrom::Start(at))?;
            let mut byte = [0];
            file.read_exact(&mut byte)?;
            Ok(byte[0])
        };
        fill(&image, 1)?;
        refresh(&image, &copy)?;
        assert_eq!((read(slot)?, read(config)?), (1, 1));
        fill(&image, 2)?;
        refresh(&image, &copy)?;
        assert_eq!((read(slot)?, read(config)?), (2, 1));
        fs::remove_dir_all(&dir)?;
        Ok(())
    }
}
