//! Taking the dead, whatever they died of. A file, and so a process, of its own: here every child is taken.

use std::process::Command;
use std::time::{Duration, Instant};

use yoke_init::sys::{Ended, reap};

#[test]
#[expect(clippy::disallowed_methods, clippy::zombie_processes, reason = "a deadline; the waiting is what is tested")]
fn who_dies_of_a_real_time_signal_is_not_lost() {
    for (script, expected) in [
        ("exit 3", Ended::Code(3)),
        ("kill -9 $$", Ended::Signal(9)),
        ("kill -34 $$", Ended::Signal(34)),
        ("kill -64 $$", Ended::Signal(64)),
    ] {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let (pid, ended) = loop {
            if let Some(dead) = reap().unwrap() {
                break dead;
            }
            assert!(Instant::now() < deadline, "{script}: not taken");
            std::thread::yield_now();
        };
        assert_eq!((pid.as_raw(), ended), (child.id().cast_signed(), expected), "{script}");
    }
    assert!(reap().is_err(), "nobody is left");
}
