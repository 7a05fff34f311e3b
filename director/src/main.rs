//! director
fn main() {}
