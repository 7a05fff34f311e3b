//! PID 1, stage 1, modprobe and `init setup`: which one, the name and the arguments say.
fn main() {}
