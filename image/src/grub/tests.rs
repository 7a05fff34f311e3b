//! The images, what the text needs of them, and which slot it decides for.

use yoke_install::layout::LAYOUT;

use super::*;

#[test]
fn images_point_at_the_partition() {
    let mut boot = vec![0; SECTOR];
    boot[0x66] = 0xeb;
    boot[SECTOR - 2..].copy_from_slice(&[0x55, 0xaa]);
    let mut core = vec![1; 3 * SECTOR + 7];
    let boot = patch_images(&mut boot, &mut core, 2048).expect("patches");
    assert_eq!(boot[0x5c..0x64], 2048_u64.to_le_bytes());
    assert_eq!(boot[0x66..0x68], [0x90, 0x90]);
    assert_eq!(core.len(), 4 * SECTOR);
    assert_eq!(core[0x1f4..0x1fc], 2049_u64.to_le_bytes());
    assert_eq!(core[0x1fc..0x1fe], 3_u16.to_le_bytes());
    assert!(patch_images(&mut [0; 10], &mut core, 2048).is_err());
}

/// Commands of the text must be in the images: a missing module shows only when the line runs.
#[test]
fn every_command_has_its_module() {
    let modules: Vec<&str> = MODULES.iter().chain(PC_MODULES).copied().collect();
    for (command, module) in [
        ("regexp", "regexp"),
        ("serial", "serial"),
        ("terminal_input", "terminal"),
        ("load_env", "loadenv"),
        ("save_env", "loadenv"),
        ("probe", "probe"),
        ("smbios", "smbios"),
        ("linux", "linux"),
        ("linux16", "linux16"),
        ("sleep", "sleep"),
        ("reboot", "reboot"),
        ("echo", "echo"),
        ("source", "configfile"),
    ] {
        assert!(GRUB_CFG.contains(command), "{command} is no longer used");
        assert!(modules.contains(&module), "{module}");
    }
}

#[test]
fn slots_are_the_partitions_of_the_layout() {
    for (slot, name) in [("gpt3", "slot-a"), ("gpt4", "slot-b")] {
        assert!(GRUB_CFG.contains(&format!("part={slot}")));
        let number: usize = slot[3..].parse().expect("a number");
        assert_eq!(LAYOUT[number - 1].name, name);
    }
    assert_eq!(LAYOUT[1].name, "esp");
    assert!(PREFIX.starts_with("(,gpt2)"));
}

/// A start of the loader, by its own lines of `grub.cfg`: they are a shell's but for `set`. `writes`: whether the environment can be written.
/// Returns the slot, `trial` or `counted`, and the environment afterwards.
fn start(environment: &Environment, writes: bool) -> (Slot, String, Environment) {
    let (from, to) = (GRUB_CFG.find("set good=a\n").expect("it begins"), GRUB_CFG.find("# On BIOS").expect("it ends"));
    let lines = GRUB_CFG[from..to].lines().map(|line| line.trim_start());
    let decision: String = lines
        .map(|line| {
            line.strip_prefix("set ").unwrap_or(line).replace("then set ", "then ").replace("else set ", "else ")
        })
        .map(|line| line + "\n")
        .collect();
    let block = environment.block().expect("fits");
    let variables: Vec<&str> =
        std::str::from_utf8(&block).expect("text").lines().filter(|line| !line.starts_with('#')).collect();
    let script = format!(
        r#"echo() {{ :; }}
load_env() {{ eval "$VARIABLES"; }}
save_env() {{ [ "$WRITES" = true ] || return 1; eval "value=\$$1"; VARIABLES="$VARIABLES
$1=$value"; }}
{decision}
printf '%s %s\n%s' "$slot" "$trial$counted" "$VARIABLES"
"#
    );
    let mut shell = std::process::Command::new("sh");
    shell.arg("-uc").arg(script).env("VARIABLES", variables.join("\n")).env("WRITES", writes.to_string());
    let output = shell.output().expect("a shell");
    let said = String::from_utf8(output.stdout).expect("text");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
    let (decided, text) = said.split_once('\n').expect("two parts");
    let (slot, told) = decided.split_once(' ').expect("two words");
    let after = Environment::parse(format!("# GRUB Environment Block\n{text}\n").as_bytes());
    (Slot::from_letter(slot).expect("a slot"), told.to_owned(), after)
}

/// The slots of so many starts in a row that do not come up.
fn starts(environment: &mut Environment, count: usize) -> String {
    let mut slots = String::new();
    for _ in 0..count {
        let (slot, _, after) = start(environment, true);
        slots.push_str(slot.letter());
        *environment = after;
    }
    slots
}

#[test]
fn a_slot_that_does_not_come_up_is_left_for_one_that_was_good() {
    let mut it = Environment::default();
    it.set_good_after(Slot::B);
    assert_eq!(starts(&mut it, 9), "bbbababab", "the spare one, and in between the good one has another chance");
    assert!(it.come_up(Slot::B, false));
    assert_eq!(starts(&mut it, 4), "bbba");
}

#[test]
fn cuts_of_the_power_never_start_what_was_not_good() {
    for mut it in [Environment::default(), {
        let mut it = Environment::default();
        it.set_good_after(Slot::A);
        // `install add` into slot b.
        it.set_good(Slot::A);
        it
    }] {
        assert_eq!(starts(&mut it, 7), "aaaaaaa");
        let before = it.clone();
        let (_, told, after) = start(&it, true);
        assert_eq!((told.as_str(), &after), ("", &before), "it counts no further, and writes nothing");
    }
}

#[test]
fn init_is_told_of_a_spare_slot_only_where_the_count_will_end() {
    let mut it = Environment::default();
    it.set_good_after(Slot::B);
    assert_eq!(start(&it, false).1, "", "not counted: nobody would ever stop to restart");
    let told: Vec<String> = (0..5)
        .map(|_| {
            let (_, told, after) = start(&it, true);
            it = after;
            told
        })
        .collect();
    assert_eq!(told, ["yoke.spare", "yoke.spare", "yoke.spare", "", "yoke.spare"]);
    it.set_good(Slot::B);
    assert_eq!(start(&it, true).1, "");
}

#[test]
fn a_trial_is_one_start() {
    let mut it = Environment::default();
    it.set_good(Slot::A);
    it.try_once(Slot::B, 7);
    let (slot, told, after) = start(&it, true);
    assert_eq!((slot, told.as_str()), (Slot::B, "yoke.trial=7"));
    assert!(!after.is_pending() && !after.is_counting());
    let (slot, told, _) = start(&after, true);
    assert_eq!((slot, told.as_str()), (Slot::A, ""));
    assert_eq!(start(&it, false).0, Slot::A, "a try that cannot be taken away is not made");
}

#[test]
fn a_damaged_block_starts_slot_a() {
    assert_eq!(start(&Environment::default(), false).0, Slot::A);
}
