//! Who may do what: the first password, console logins, `enable`, users who come and go.

use yoke_director::status::{Data, LineKind, RefusalKind, Reply, Request, Session, Show};

use super::harness::{Box_, Caller, problems, until};

fn session(reply: Reply) -> Session {
    match reply {
        Reply::Session(session) => session,
        other => panic!("{other:?}"),
    }
}

fn hello(line: LineKind) -> Request {
    Request::Hello { line, tty: String::new(), from: "192.0.2.7".into() }
}

#[test]
fn a_factory_fresh_box_asks_for_a_password_once() {
    let box_ = Box_::fresh();
    let mut console = box_.console();
    let again = session(console.greeting.clone());
    assert!(again.first_password && again.privilege == 0 && again.username.is_empty());
    assert_eq!(again.notice, "no configuration on flash");
    problems(RefusalKind::Failed, console.call(&Request::FirstPassword { password: String::new() }));
    let admin = session(console.call(&Request::FirstPassword { password: "hunter2".into() }));
    assert_eq!((admin.username.as_str(), admin.privilege, admin.ids), ("admin", 15, (1001, 100)));

    let (_, text) = console.running();
    assert!(text.contains("username admin secret sha512 $6$") && !text.contains("hunter2"), "{text}");
    let mut second = box_.console();
    problems(RefusalKind::Denied, second.call(&Request::FirstPassword { password: "mine".into() }));
    assert_eq!(second.login("admin", "hunter2").privilege, 15);
}

#[test]
fn before_login_a_console_may_do_nothing_else() {
    let box_ = Box_::fresh();
    let mut console = box_.console();
    for request in [
        Request::Running,
        Request::Show(Show::Version),
        Request::Messages,
        Request::Enable { password: String::new() },
        Request::Save { force: false },
        Request::Reload { power_off: true },
        Request::Apply { base: 0, lines: vec!["hostname x".into()], force: true },
    ] {
        assert_eq!(problems(RefusalKind::Denied, console.call(&request)), ["login needed"], "{request:?}");
    }
}

#[test]
fn a_request_before_hello_is_refused_and_nonsense_does_not_end_the_connection() {
    let box_ = Box_::fresh();
    let mut caller = box_.admin();
    let complaint = problems(RefusalKind::Syntax, caller.call(&"nonsense"));
    assert!(complaint[0].starts_with("request: "), "{complaint:?}");
    assert!(caller.running().0 > 0);
    assert_eq!(problems(RefusalKind::Denied, caller.call(&hello(LineKind::Vty))), ["session: already open"]);
}

#[test]
fn a_wrong_password_and_a_wrong_name_are_answered_alike() {
    let box_ = Box_::fresh();
    drop(box_.admin());
    let mut console = box_.console();
    let attempt = |name: &str, password: &str| Request::Login { username: name.into(), password: password.into() };
    let before = crate::clock::now();
    let wrong = console.call(&attempt("admin", "wrong"));
    assert_eq!(problems(RefusalKind::Denied, wrong.clone()), ["login incorrect"]);
    assert_eq!(console.call(&attempt("nobody", "secret")), wrong);
    assert!(crate::clock::now() - before >= std::time::Duration::from_secs(1), "the second attempt waits");
}

#[test]
fn an_ssh_user_is_who_the_kernel_says() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("username noc privilege 1\nusername noc secret plain text");
    let mut noc = box_.hello(1002, LineKind::Vty);
    let again = session(noc.call(&Request::Disable));
    assert_eq!((again.username.as_str(), again.privilege, again.ids.0), ("noc", 1, 1002));
    problems(RefusalKind::Denied, noc.call(&Request::Login { username: "admin".into(), password: "secret".into() }));

    let mut stranger = box_.hello(4711, LineKind::Vty);
    let refused = problems(RefusalKind::Denied, stranger.call(&Request::Running));
    assert_eq!(refused, ["session: not open, say hello first"]);
}

#[test]
fn level_1_looks_and_changes_nothing() {
    let box_ = Box_::fresh();
    box_.admin().must_apply("username noc privilege 1");
    let mut noc = box_.hello(1002, LineKind::Vty);
    for request in [
        Request::Apply { base: 1, lines: vec!["hostname x".into()], force: false },
        Request::Replace { text: String::new() },
        Request::Save { force: true },
        Request::Erase,
        Request::Format,
        Request::FactoryReset,
        Request::Reload { power_off: false },
        Request::Drain { drain: true, address: [10, 0, 0, 1].into(), port: None, virtual_server: None },
        Request::Show(Show::Startup),
        Request::Show(Show::Ipvsadm { arguments: Vec::new() }),
    ] {
        assert_eq!(problems(RefusalKind::Denied, noc.call(&request)), ["privilege 15 needed"], "{request:?}");
    }
    let (_, text) = noc.running();
    assert!(text.contains("username admin secret sha512 <removed>"), "{text}");
    assert!(matches!(noc.show(Show::Version), Data::Version(_)));
}

#[test]
fn enable_raises_this_session_only() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("username noc privilege 1");
    let mut noc = box_.hello(1002, LineKind::Vty);
    let enable = |password: &str| Request::Enable { password: password.into() };
    assert_eq!(problems(RefusalKind::Denied, noc.call(&enable(""))), ["enable: no secret is set, use: enable secret"]);
    admin.must_apply("enable secret top");
    assert_eq!(session(noc.call(&enable(""))).privilege, 1, "a secret is needed");
    assert_eq!(problems(RefusalKind::Denied, noc.call(&enable("bottom"))), ["bad secret"]);
    assert_eq!(session(noc.call(&enable("top"))).privilege, 15);
    assert!(noc.running().1.contains("enable secret sha512 $6$"));
    assert_eq!(session(box_.hello(1002, LineKind::Vty).call(&Request::Disable)).privilege, 1);
    assert_eq!(session(noc.call(&Request::Disable)).privilege, 1);
    assert_eq!(session(admin.call(&Request::Disable)).privilege, 1);
    assert_eq!(session(admin.call(&enable(""))).privilege, 15, "the own privilege needs no secret");
}

#[test]
fn a_user_who_is_removed_may_do_nothing_more() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("username noc privilege 15");
    let mut noc = box_.hello(1002, LineKind::Vty);
    assert!(noc.running().0 > 0);
    admin.must_apply("no username noc");
    assert_eq!(problems(RefusalKind::Denied, noc.call(&Request::Running)), ["this user no longer exists"]);
    problems(RefusalKind::Denied, box_.hello(1002, LineKind::Vty).call(&hello(LineKind::Vty)));
    admin.must_apply("username ana privilege 15");
    assert_eq!(session(box_.hello(1003, LineKind::Vty).call(&Request::Disable)).username, "ana", "no id is used again");
}

#[test]
fn the_last_administrator_stays() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let key = "username ana ssh-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK ana@noc";
    let hash = "sha512 $6$abcd$Zm9vYmFy";
    admin.must_apply(&format!("username noc secret {hash}\n"));
    let refused = |admin: &mut Caller, lines: &str| problems(RefusalKind::NotApplied, admin.apply(lines)).join("");
    for lines in ["no username admin", "no username", "no username admin secret", "username admin privilege 1"] {
        assert!(refused(&mut admin, lines).contains("nobody could configure this box any more"), "{lines}");
    }
    // By SSH somebody could, until the network fails.
    assert!(refused(&mut admin, &format!("{key}\nusername ana privilege 15\nno username admin")).contains("console"));
    let replaced = admin.call(&Request::Replace { text: "hostname lb9\n".into() });
    assert!(problems(RefusalKind::NotApplied, replaced)[0].contains("nobody"));
    assert_eq!(session(admin.call(&Request::Disable)).hostname, "yoke", "nothing was applied");
    session(admin.call(&Request::Enable { password: String::new() }));
    // Another one, and the first may go; who may raise themselves by the enable secret is one too.
    admin.must_apply(&format!("enable secret {hash}\nno username admin\n"));
    problems(RefusalKind::Denied, admin.call(&Request::Running));
}

#[test]
fn sessions_are_listed() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let _console = box_.console();
    let Data::Sessions(rows) = admin.show(Show::Sessions) else { panic!() };
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.username.as_str(), row.line.as_str(), row.privilege), ("admin", "console ttyS0", 15));
    let mut one: Caller = box_.hello(1001, LineKind::Vty);
    let Data::Sessions(rows) = one.show(Show::Sessions) else { panic!() };
    assert_eq!(rows.len(), 2);
}

#[test]
fn who_else_configures_is_told() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let mut ssh = box_.hello(1001, LineKind::Vty);
    let configure = |caller: &mut Caller, active| match caller.call(&Request::Configure { active }) {
        Reply::Configuring { others } => others.into_iter().map(|row| row.line).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert!(configure(&mut admin, true).is_empty());
    assert!(configure(&mut admin, true).is_empty(), "nobody is told of themselves");
    assert_eq!(configure(&mut ssh, true), ["console ttyS0"]);
    let Data::Sessions(rows) = ssh.show(Show::Sessions) else { panic!() };
    assert!(rows.iter().all(|row| row.configuring), "{rows:?}");
    // What renews a session forgets nothing.
    session(admin.call(&Request::Enable { password: String::new() }));
    assert_eq!(configure(&mut ssh, true), ["console ttyS0"]);
    configure(&mut admin, false);
    assert!(configure(&mut ssh, true).is_empty());
    assert_eq!(configure(&mut admin, true), ["vty ttyS0"]);
    drop(ssh);
    until("a session that is lost is gone", || configure(&mut admin, true).is_empty());
    admin.must_apply("username noc privilege 1\n");
    let mut noc = box_.hello(1002, LineKind::Vty);
    problems(RefusalKind::Denied, noc.call(&Request::Configure { active: true }));
}

#[test]
fn who_may_change_nothing_cannot_fill_the_memory() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("username noc privilege 1\n");
    let long = Request::Replace { text: "x".repeat(1 << 20) };
    assert!(matches!(admin.call(&long), Reply::Refused(_)), "an administrator is answered");
    let mut noc = box_.hello(1002, LineKind::Vty);
    assert!(matches!(noc.greeting, Reply::Session(_)));
    assert!(noc.try_call(&long).is_err(), "the connection is closed");
}
