//! What transcripts do not show: secrets, options, pipes.

use super::*;
use crate::tree::parse_edits;

fn meaning(line: &str) -> Meaning {
    interpret(&Position::CONFIG, line).expect(line)
}

#[test]
fn secrets_are_known_before_they_are_stored() {
    for line in
        ["username a secret", "username a secret x", "enable secret sha512 $6$a$b", "snmp-server community c ro"]
    {
        assert!(meaning(line).is_secret(), "{line}");
    }
    for line in ["hostname a", "username a privilege 15", "do show version", "no username a secret"] {
        assert!(!meaning(line).is_secret(), "{line}");
    }
    assert!(looks_secret("usrname a secret hunter2") && looks_secret("x $6$a$b") && looks_secret("enable sec hunter2"));
    assert!(looks_secret("usrname a secert hunter2") && looks_secret("do enble secrt hunter2"));
    assert!(!looks_secret("show version") && !looks_secret("interface et0") && !looks_secret("enable 16"));
    let line = "enable secret sha512 hunter2";
    assert!(!interpret(&Position::CONFIG, line).expect_err("no hash").sentence(line).contains("hunter2"));
    // What the shell makes of a clear secret is a line.
    let Meaning::Secret { line, plain } = meaning("usern a sec  hunter 2 ") else { panic!("a secret") };
    assert_eq!((line.as_str(), plain.as_deref()), ("username a secret", Some("hunter 2")));
    assert!(parse_edits(&[format!("{line} sha512 $6$salt$hash")]).is_ok());
}

#[test]
fn options_are_found_in_any_order() {
    let line = "show connections limit 7 count virtual-server limit";
    let Ok(Meaning::Run { values, .. }) = interpret(&Position::Exec(Privilege::User), line) else { panic!("{line}") };
    assert!(has(&values, "count") && !has(&values, "client"));
    assert_eq!(option(&values, "limit"), Some(&Value::Int(7)));
    assert_eq!(option(&values, "virtual-server").and_then(Value::as_str), Some("limit"), "a name may be a keyword");
}

#[test]
fn pipes() {
    assert_eq!(pipe(" inc \"a|b\" ").ok(), Some(Pipe::Include("a|b".to_owned())));
    assert_eq!(pipe("section vrrp group").ok(), Some(Pipe::Section("vrrp group".to_owned())));
    assert_eq!(pipe("json").ok(), Some(Pipe::Json));
    assert!(matches!(pipe("include"), Err(LineError::Incomplete { .. })));
    assert!(matches!(pipe(""), Err(LineError::Incomplete { .. })));
    assert!(matches!(pipe("grep x"), Err(LineError::Invalid { offset: 0, .. })));
}

#[test]
fn a_submitted_question_mark_is_help() {
    assert!(matches!(meaning("interface ?"), Meaning::Help { upto: 10 }));
    assert!(matches!(meaning("?"), Meaning::Help { upto: 0 }));
    assert!(matches!(meaning("banner motd \"what ?\""), Meaning::Edit { .. }));
    assert!(matches!(meaning("banner motd what?"), Meaning::Edit { .. }));
}

#[test]
fn the_caret_counts_characters() {
    assert_eq!(caret(4, "show vers1on", 5), "         ^");
    assert_eq!(caret(0, "ß x", 3), "  ^");
}
