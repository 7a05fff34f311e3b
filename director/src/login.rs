//! Passwords of people: console login, the first password of a factory-fresh box, and `enable`.
//!
//! A wrong name and a wrong password get the same answer after the same work. Attempts are limited by where they come from
//! ([`crate::limiter`]); the wait happens here, and holds up nobody else. No password is logged, and neither is a name that may be one.

use std::rc::Rc;

use yoke_config::model::Config;
use yoke_director::secret;
use yoke_director::status::{RefusalKind, Reply};

use crate::commit::{self, Change};
use crate::director::Director;
use crate::session::{Caller, Level, opened, refused};
use crate::{accounts, clock};

/// Longest password in bytes. Hashing takes time in proportion to it.
const PASSWORD_BYTES_MAX: usize = 256;
/// The user a factory-fresh box creates.
const FIRST_USER: &str = "admin";

/// A console login.
pub(crate) async fn login(director: &Rc<Director>, caller: &mut Caller, username: String, password: String) -> Reply {
    let source = format!("login {}", caller.tty);
    if let Err(reply) = wait(director, &source).await {
        return reply;
    }
    let hash = secret_of(&director.state().running.config, &username);
    if !verify(password, hash).await {
        log::warn!("login failed on {}", caller.place());
        return refused(RefusalKind::Denied, "login incorrect");
    }
    // The user may have been removed while the hash was computed; then the session has no privilege, which `permit` finds.
    director.state_mut().limiter.succeeded(&source);
    log::info!("{username} logged in on {}", caller.place());
    caller.user = Some(username);
    caller.level = Level::Own;
    opened(director, caller)
}

/// `admin`'s first password, which is the first credential of the box.
pub(crate) async fn first_password(director: &Rc<Director>, caller: &mut Caller, password: String) -> Reply {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return refused(RefusalKind::Failed, format!("password: 1 to {PASSWORD_BYTES_MAX} characters"));
    }
    if accounts::credential_exists(&director.state().running.config) {
        return refused(RefusalKind::Denied, "a credential exists, log in");
    }
    let hash = match on_another_thread(move || secret::hash(&password)).await {
        Ok(hash) => hash,
        Err(e) => return refused(RefusalKind::Failed, format!("password: {e}")),
    };
    let lines =
        vec![format!("username {FIRST_USER} privilege 15"), format!("username {FIRST_USER} secret sha512 {hash}")];
    let reply = commit::run(director, FIRST_USER, Change::First { lines }).await;
    if !matches!(reply, Reply::Applied { .. }) {
        return reply;
    }
    log::info!("first password of {FIRST_USER} set on {}", caller.place());
    caller.user = Some(FIRST_USER.to_owned());
    caller.level = Level::Own;
    opened(director, caller)
}

/// `enable`. An empty password asks whether one is needed: the reply is the session, raised if none is.
pub(crate) async fn enable(director: &Rc<Director>, caller: &mut Caller, password: String) -> Reply {
    let hash = {
        let state = director.state();
        let own = caller.user.as_deref().and_then(|name| user(&state.running.config, name));
        if own.is_some_and(|user| user.privilege.level() == 15) {
            caller.level = Level::Own;
            None
        } else if let Some(hash) = &state.running.config.enable_secret {
            Some(hash.as_str().to_owned())
        } else {
            return refused(RefusalKind::Denied, "enable: no secret is set, use: enable secret");
        }
    };
    let Some(hash) = hash else { return opened(director, caller) };
    if password.is_empty() {
        return opened(director, caller);
    }
    let source = format!("enable {}", caller.name());
    if let Err(reply) = wait(director, &source).await {
        return reply;
    }
    if !verify(password, Some(hash)).await {
        log::warn!("enable failed for {} ({})", caller.name(), caller.place());
        return refused(RefusalKind::Denied, "bad secret");
    }
    director.state_mut().limiter.succeeded(&source);
    log::info!("{} ({}) enabled", caller.name(), caller.place());
    caller.level = Level::Raised;
    opened(director, caller)
}

fn user<'a>(config: &'a Config, name: &str) -> Option<&'a yoke_config::model::User> {
    config.users.iter().find(|(n, _)| n.as_str() == name).map(|(_, user)| user)
}

fn secret_of(config: &Config, name: &str) -> Option<String> {
    user(config, name)?.secret.as_ref().map(|hash| hash.as_str().to_owned())
}

async fn wait(director: &Director, source: &str) -> Result<(), Reply> {
    let wait = director.state_mut().limiter.attempt(source, clock::now());
    match wait {
        Ok(wait) => {
            tokio::time::sleep(wait).await;
            Ok(())
        }
        Err(_) => Err(refused(RefusalKind::Denied, "too many attempts, try again in a minute")),
    }
}

async fn verify(password: String, hash: Option<String>) -> bool {
    let short = password.len() <= PASSWORD_BYTES_MAX;
    short && on_another_thread(move || secret::verify(&password, hash.as_deref())).await
}

/// Runs what takes milliseconds on purpose without stopping the loop.
async fn on_another_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // A join error is a panic of the work, or a runtime that is shutting down.
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}
