//! PID 1, modprobe and the one-shots such as `init setup`: which one, the name and the arguments say. Stage 1 is a program of its own.

use std::process::ExitCode;

use yoke_init::{ask, drivers, flash, modprobe, pid1, say, setup, syslog};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let name = words.first().map_or("", |path| path.rsplit('/').next().unwrap_or(path));
    ExitCode::from(match (std::process::id(), name, words.get(1).copied()) {
        (_, "modprobe", _) => modprobe::main(&arguments[1..]),
        (1, _, _) => pid1::main(),
        (_, _, Some("flash")) => flash::main(),
        (_, _, Some("format")) => flash::format_main(),
        (_, _, Some("network")) => drivers::network_main(),
        (_, _, Some("devices")) => drivers::devices_main(),
        (_, _, Some("setup")) => setup::main(),
        (_, _, Some(syslog::COMMAND)) => syslog::main(&arguments[2..]),
        (_, _, Some("unmount")) => pid1::unmount_main(),
        (_, _, Some("ask")) => ask::main(&arguments[2..]),
        _ => {
            say::problem("init: runs as PID 1, or as: modprobe NAME, init ask JSON");
            2
        }
    })
}
