//! Laws of the tree on the shipped examples.

use super::*;

const EXAMPLES: [(&str, &str); 4] = [
    ("dr", include_str!("../../tests/configs/dr.cfg")),
    ("fullnat", include_str!("../../tests/configs/fullnat.cfg")),
    ("nat", include_str!("../../tests/configs/nat.cfg")),
    ("tun", include_str!("../../tests/configs/tun.cfg")),
];

#[test]
fn examples_load_and_print_to_a_fixed_point() {
    for (name, text) in EXAMPLES {
        let (tree, rejected) = load(text);
        assert_eq!(rejected, [], "{name}");
        let printed = tree.print();
        let (again, rejected) = load(&printed);
        assert_eq!(rejected, [], "{name}");
        assert_eq!(again, tree, "{name}");
        assert_eq!(again.print(), printed, "{name}");
    }
}
