//! The one connection to the director: a session's identity is this connection.
//!
//! It waits for replies in slices, so that Ctrl-C is heard, and connects again when the director was restarted; then the
//! kernel tells the director who we are, so nobody logs in twice. It interprets no data.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use yoke_control::{Client, Error};
use yoke_director::status::{Data, LineKind, Reply, Request, Session, SessionRow, Show};

use crate::interrupt;
use crate::outcome::{Fail, Stop};

/// How long to wait for a reply before looking whether Ctrl-C was pressed.
const SLICE: Duration = Duration::from_millis(50);

/// Where this session sits, told to the director with every connection.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Which `line` settings apply.
    pub(crate) line: LineKind,
    /// Such as `ttyS0`.
    pub(crate) tty: String,
    /// Such as `192.0.2.7`.
    pub(crate) from: String,
}

/// A handle on the connection; the completer holds one beside the session.
#[derive(Debug, Clone)]
pub(crate) struct Director(Rc<RefCell<Link>>);

#[derive(Debug)]
struct Link {
    path: PathBuf,
    place: Place,
    client: Option<Client>,
    session: Session,
    /// In configuration mode, which a director that was restarted has to be told again.
    configuring: bool,
    /// Replies that nobody waits for any more: their requests were interrupted.
    abandoned: u32,
    /// Grows with every connection, so that a caller notices a new one.
    generation: u64,
}

impl Director {
    /// Connects and opens the session.
    ///
    /// # Errors
    /// [`Fail::Refused`]: nobody answers, or the director does not know this user.
    pub(crate) fn open(path: &Path, place: Place) -> Result<Self, Fail> {
        let (client, session) = connect(path, &place)?;
        let (path, client) = (path.to_owned(), Some(client));
        let link = Link { path, place, client, session, configuring: false, abandoned: 0, generation: 0 };
        Ok(Self(Rc::new(RefCell::new(link))))
    }

    /// Who this session is, as of the last reply that said so.
    pub(crate) fn session(&self) -> Session {
        self.0.borrow().session.clone()
    }

    /// 1 or 15.
    pub(crate) fn privilege(&self) -> u8 {
        self.0.borrow().session.privilege
    }

    /// Where this session sits.
    pub(crate) fn place(&self) -> Place {
        self.0.borrow().place.clone()
    }

    /// Tells connections apart: the director may have been restarted between two requests.
    pub(crate) fn generation(&self) -> u64 {
        self.0.borrow().generation
    }

    /// Asks something that may be abandoned by Ctrl-C.
    ///
    /// # Errors
    /// What the director refused, or that it does not answer.
    pub(crate) fn ask(&self, request: &Request) -> Result<Reply, Fail> {
        self.0.borrow_mut().exchange(request, true)
    }

    /// Asks for a change. Its outcome is always waited for: half-known is worse than slow.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn change(&self, request: &Request) -> Result<Reply, Fail> {
        self.0.borrow_mut().exchange(request, false)
    }

    /// Asks for a change that was made up on the connection `generation`; `None` when this is another by now: what the
    /// change was based on may mean something else to a director that was restarted.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn change_on(&self, generation: u64, request: &Request) -> Result<Option<Reply>, Fail> {
        let mut link = self.0.borrow_mut();
        if link.generation != generation {
            return Ok(None);
        }
        if link.client.is_some() {
            match link.once(request, false) {
                Err(Lost::Before) => {}
                outcome => return outcome.map_err(|lost| link.lost(&lost)).and_then(accepted).map(Some),
            }
        }
        link.reconnect().map(|()| None)
    }

    /// Asks for the data of a `show`.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn show(&self, what: Show) -> Result<Data, Fail> {
        match self.ask(&Request::Show(what))? {
            Reply::Data(data) => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for the lines of a `show` that is text.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn lines(&self, what: Show) -> Result<Vec<String>, Fail> {
        match self.show(what)? {
            Data::Lines(lines) | Data::Warnings(lines) => Ok(lines),
            other => Err(unexpected(&Reply::Data(other))),
        }
    }

    /// Says that the session enters or has left configuration mode; who else is there.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn configure(&self, active: bool) -> Result<Vec<SessionRow>, Fail> {
        self.0.borrow_mut().configuring = active;
        match self.ask(&Request::Configure { active })? {
            Reply::Configuring { others } => Ok(others),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for something that answers with the session, and remembers it.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub(crate) fn renew(&self, request: &Request) -> Result<Session, Fail> {
        let mut link = self.0.borrow_mut();
        match link.exchange(request, false)? {
            Reply::Session(session) => {
                link.session = session.clone();
                Ok(session)
            }
            other => Err(unexpected(&other)),
        }
    }
}

impl Link {
    fn exchange(&mut self, request: &Request, abandon: bool) -> Result<Reply, Fail> {
        let mut fresh = false;
        if self.client.is_none() {
            self.reconnect()?;
            fresh = true;
        }
        match self.once(request, abandon) {
            Err(Lost::Before) if !fresh => {
                // It was restarted since the last request, and has seen nothing of this one.
                self.reconnect()?;
                self.once(request, abandon).map_err(|lost| self.lost(&lost))
            }
            outcome => outcome.map_err(|lost| self.lost(&lost)),
        }
        .and_then(accepted)
    }

    fn once(&mut self, request: &Request, abandon: bool) -> Result<Reply, Lost> {
        let client = self.client.as_mut().ok_or(Lost::Before)?;
        while self.abandoned > 0 {
            match client.next_reply::<Reply>() {
                Ok(_) | Err(Error::Json(_)) => self.abandoned -= 1,
                Err(e) if is_timeout(&e) => {
                    if interrupt::pending() && abandon {
                        return Err(Lost::Interrupted);
                    }
                }
                Err(_) => return Err(Lost::Before),
            }
        }
        let mut reply = client.call(request);
        loop {
            match reply {
                Ok(reply) => return Ok(reply),
                Err(e) if is_timeout(&e) => {
                    if abandon && interrupt::pending() {
                        self.abandoned += 1;
                        return Err(Lost::Interrupted);
                    }
                }
                // The request did not leave: the socket was closed by the other side before.
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => return Err(Lost::Before),
                Err(e) => return Err(Lost::During(e)),
            }
            reply = client.next_reply();
        }
    }

    fn lost(&mut self, lost: &Lost) -> Fail {
        match lost {
            Lost::Interrupted => return Stop::Interrupted.into(),
            Lost::Before | Lost::During(_) => self.client = None,
        }
        match lost {
            Lost::During(Error::Json(e)) => Fail::failed(format!("director: its answer makes no sense: {e}")),
            Lost::During(_) => Fail::failed(
                "director: stopped before it answered, it is not known whether this took effect: look before repeating",
            ),
            Lost::Before | Lost::Interrupted => not_running(),
        }
    }

    fn reconnect(&mut self) -> Result<(), Fail> {
        let raised = self.session.privilege;
        let (client, session) = connect(&self.path, &self.place)?;
        if session.username.is_empty() && !self.session.username.is_empty() {
            // A console session that still runs as root cannot be recognised by its uid.
            return Err(Fail::denied("director: restarted, log in again"));
        }
        (self.client, self.session, self.abandoned) = (Some(client), session, 0);
        if self.configuring && self.session.privilege >= 15 {
            // What it is for, a note to others, may fail.
            let _ = self.once(&Request::Configure { active: true }, false);
        }
        self.generation += 1;
        if raised > self.session.privilege {
            crate::tty::show("% Warning: director restarted, privilege is that of the user again: enable\n");
        }
        Ok(())
    }
}

/// How an exchange came to nothing.
#[derive(Debug)]
enum Lost {
    /// The request was not sent.
    Before,
    /// The request was sent.
    During(Error),
    /// Ctrl-C.
    Interrupted,
}

fn connect(path: &Path, place: &Place) -> Result<(Client, Session), Fail> {
    let mut client = Client::connect(path).map_err(|_| not_running())?;
    client.set_timeout(None).map_err(|e| Fail::failed(format!("director: {e}")))?;
    let hello = Request::Hello { line: place.line, tty: place.tty.clone(), from: place.from.clone() };
    let reply = client.call(&hello).map_err(|_| not_running())?;
    client.set_timeout(Some(SLICE)).map_err(|e| Fail::failed(format!("director: {e}")))?;
    match reply {
        Reply::Session(session) => Ok((client, session)),
        Reply::Refused(refusal) => Err(refusal.into()),
        other => Err(unexpected(&other)),
    }
}

fn accepted(reply: Reply) -> Result<Reply, Fail> {
    match reply {
        Reply::Refused(refusal) => Err(refusal.into()),
        reply => Ok(reply),
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Io(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}

fn not_running() -> Fail {
    Fail::failed("director: does not answer, it is started again by itself: try again")
}

/// A reply of the wrong kind: shell and director are not of one firmware.
pub(crate) fn unexpected(reply: &Reply) -> Fail {
    let json = serde_json::to_value(reply).unwrap_or_default();
    let kind = json["reply"].as_str().unwrap_or("?");
    Fail::failed(format!("director: unexpected answer \"{kind}\", shell and director differ in version"))
}
