//! Every rule, and the examples.

use super::*;
use crate::tree::load;

fn convert(text: &str) -> Result<Config, Vec<String>> {
    let (tree, rejected) = load(text);
    assert_eq!(rejected, []);
    Config::try_from(&tree).map_err(|problems| problems.into_iter().map(|problem| problem.0).collect())
}

#[test]
fn examples_convert() {
    for text in [
        include_str!("../../tests/configs/dr.cfg"),
        include_str!("../../tests/configs/fullnat.cfg"),
        include_str!("../../tests/configs/nat.cfg"),
        include_str!("../../tests/configs/tun.cfg"),
    ] {
        convert(text).expect("examples are valid");
    }
}
