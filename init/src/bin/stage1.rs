//! `/init` of the initramfs: stage 1 and nothing else of init's, because the kernel unpacks it at every start.

use std::process::ExitCode;

use yoke_init::stage1;

fn main() -> ExitCode {
    ExitCode::from(stage1::main())
}
