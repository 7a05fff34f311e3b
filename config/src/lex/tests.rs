//! Quoting both ways, offsets, pipes.

use proptest::prelude::*;

use super::*;

fn texts(line: &str) -> Vec<String> {
    words(line).into_iter().map(|word| word.text.into_owned()).collect()
}

#[test]
fn words_have_offsets() {
    let line = "  a \"b c\"  größe x";
    let found: Vec<(usize, usize, String)> =
        words(line).into_iter().map(|word| (word.offset, word.end, word.text.into_owned())).collect();
    let want = [(2, 3, "a"), (4, 9, "b c"), (11, 18, "größe"), (19, 20, "x")];
    assert_eq!(found, want.map(|(from, to, text)| (from, to, text.to_owned())));
}

#[test]
fn quotes_and_escapes() {
    assert_eq!(texts(r#""a\"b\\c\nd\te" f"#), ["a\"b\\c\nd\te", "f"]);
    assert_eq!(texts(r#"a"b c\n"#), ["a\"b", "c\\n"], "a quote within a word and a bare escape are letters");
    for open in [r#"x "never closed"#, r#"x ""#, r#"x "ends in \"#, r#"x "ends in \""#] {
        assert!(in_quotes(open), "{open}");
    }
    assert!(!in_quotes(r#"x "closed" y"#));
}

#[test]
fn pipes_and_commands() {
    let parts = |line| split_pipes(line).into_iter().map(|(at, text)| (at, text.trim())).collect::<Vec<_>>();
    assert_eq!(parts("show run | include a|b"), [(0, "show run"), (10, "include a"), (21, "b")]);
    assert_eq!(
        parts(r#"show run | include "a|b" | count"#),
        [(0, "show run"), (10, r#"include "a|b""#), (26, "count")]
    );
    assert_eq!(parts("show"), [(0, "show")]);
    assert_eq!(split_commands("a; b \"c;d\"").len(), 2);
}

proptest! {
    #[test]
    fn quoted_text_is_read_back(text in any::<String>()) {
        let line = quote(&text);
        let found = words(&line);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].text, &text);
        prop_assert!(!found[0].open);
        // What follows is a word of its own.
        prop_assert_eq!(texts(&format!("{line} x")).len(), 2);
        prop_assert_eq!(split_pipes(&line).len(), 1);
        prop_assert_eq!(split_commands(&line).len(), 1);
    }

    #[test]
    fn offsets_lead_to_the_words(line in any::<String>()) {
        for word in words(&line) {
            prop_assert!(line.is_char_boundary(word.offset) && line.is_char_boundary(word.end));
            prop_assert!(word.quoted || line[word.offset..word.end] == word.text);
        }
        let parts = split_pipes(&line);
        prop_assert_eq!(parts.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("|"), line);
    }
}
