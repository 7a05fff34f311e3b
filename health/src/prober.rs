//! The thread that probes: it owns [`Checks`], makes the attempts that are due, and tells of changes.
//!
//! A thread of its own, so that ten thousand probes never hold up whoever changes or shows the configuration, and the other way round. It is told
//! what to probe and never asks; what it has to say is a message. Its clock is the caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, LocalSet};

use yoke_config::model::Check;

use crate::half_open::{BURST, HalfOpen};
use crate::probe::Attempt;
use crate::target::Probe;
use crate::{Change, Checks, Job, Noted, Report, Target, Time, Verdict, probe};

/// A changed verdict, or a changed way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub target: Target,
    /// From what to what; `None`: it is what it was.
    pub change: Option<Change>,
    /// What is known now.
    pub verdict: Verdict,
    /// Why the attempt failed; empty when it did not.
    pub reason: String,
    /// Where that has changed: why the server's own address is asked and not the way of clients; the inner `None`: that way is taken.
    pub aside: Option<Option<String>>,
}

/// What is to be probed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Targets, and how each is probed.
    pub targets: BTreeMap<Target, Probe>,
    /// What is known of targets the prober does not know.
    pub known: BTreeMap<Target, Verdict>,
    /// How this box calls itself.
    pub hostname: String,
    /// Ports of this box that are somebody's.
    pub taken: BTreeSet<u16>,
}

#[derive(Debug)]
enum Order {
    Probe(Wanted),
    Report(oneshot::Sender<Vec<Report>>),
}

/// A handle of the thread, which ends when the handle is dropped.
#[derive(Debug, Clone)]
pub struct Prober {
    orders: UnboundedSender<Order>,
    connects: Option<Arc<str>>,
}

impl Prober {
    /// Starts the thread. Changes go to `news`; `now` reads the monotonic clock.
    ///
    /// # Errors
    /// When there is no thread or no descriptor left.
    pub fn start(news: UnboundedSender<News>, now: fn() -> Time) -> io::Result<Self> {
        let (orders, received) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let half_open = {
            let _within = runtime.enter();
            HalfOpen::open()
        };
        let connects = half_open.as_ref().err().map(|error| error.to_string().into());
        let half_open = half_open.ok();
        std::thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, run(received, news, half_open, now)))?;
        Ok(Self { orders, connects })
    }

    /// Why checks by tcp connect instead of sending a SYN and no more; `None` when they do not. As good, and several times the work.
    #[must_use]
    pub fn connects(&self) -> Option<&str> {
        self.connects.as_deref()
    }

    /// Probes these from now on, and no others.
    pub fn probe(&self, wanted: Wanted) {
        // It ends only with its handles.
        let _ = self.orders.send(Order::Probe(wanted));
    }

    /// What is known of every target.
    pub async fn reports(&self) -> Vec<Report> {
        let (answer, answered) = oneshot::channel();
        let _ = self.orders.send(Order::Report(answer));
        answered.await.unwrap_or_default()
    }
}

/// Probes that fall due this close together begin together: one look at the clock and one system call for all of them.
const GRAIN: Duration = Duration::from_millis(20);

/// The end of the grain in which `at` lies.
fn end_of_grain(at: Time) -> Time {
    let grain = GRAIN.as_micros();
    let micros = at.as_micros().div_ceil(grain).saturating_mul(grain);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

async fn run(
    mut orders: UnboundedReceiver<Order>,
    news: UnboundedSender<News>,
    mut half_open: Option<HalfOpen>,
    now: fn() -> Time,
) {
    let mut checks = Checks::default();
    let mut hostname = Arc::<str>::from("");
    let (ended, mut outcomes) = unbounded_channel::<(u64, Attempt)>();
    let mut tasks = BTreeMap::<u64, AbortHandle>::new();
    loop {
        let at = now();
        // Whatever woke this thread: what is due within a grain begins at its end, and together.
        let is_due = checks.poll_timeout().is_some_and(|due| end_of_grain(due) <= at);
        // Some at a time, and their answers, though a thousand be late.
        let jobs = std::iter::from_fn(|| checks.poll_job(at)).take(if is_due { BURST } else { 0 });
        for job in jobs {
            if half_open.as_mut().is_some_and(|half_open| begin(half_open, &job, at)) {
                continue;
            }
            let (ended, hostname) = (ended.clone(), hostname.clone());
            let number = job.number;
            let task = tokio::task::spawn_local(async move {
                let began = now();
                let elapsed = || now().saturating_sub(began);
                let attempt = probe::attempt(&job.target, &job.probe, &hostname, elapsed).await;
                let _ = ended.send((job.number, attempt));
            });
            tasks.insert(number, task.abort_handle());
        }
        if let Some(half_open) = &mut half_open {
            half_open.flush(now());
        }
        let next = checks.poll_timeout().map(end_of_grain);
        let next = next.into_iter().chain(half_open.as_ref().and_then(HalfOpen::poll_timeout)).min();
        let idle = next.map_or(Duration::MAX, |next| next.saturating_sub(now()));
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Probe(wanted)) => {
                    let at = now();
                    let gone = checks.handle_targets(&wanted.targets, &wanted.known, at);
                    gone.iter().filter_map(|number| tasks.remove(number)).for_each(|task| task.abort());
                    hostname = wanted.hostname.into();
                    if let Some(half_open) = &mut half_open {
                        half_open.cancel(&gone);
                        if let Err(error) = half_open.leave(&wanted.taken, at) {
                            log::warn!("checks by tcp keep a port that somebody else is to have: {error}");
                        }
                    }
                }
                Some(Order::Report(answer)) => drop(answer.send(checks.reports())),
                None => return,
            },
            Some((number, attempt)) = outcomes.recv() => {
                tasks.remove(&number);
                note(&mut checks, number, attempt, now(), &news);
            }
            () = ready(half_open.as_mut()) => {}
            () = tokio::time::sleep(idle) => {}
        }
        let at = now();
        for (number, outcome) in half_open.as_mut().map(|half_open| half_open.poll_outcomes(at)).unwrap_or_default() {
            note(&mut checks, number, Attempt { outcome, aside: None }, at, &news);
        }
    }
}

/// Begins it as half a handshake, if it is a connection and no more, to the server's own address because there is no other way.
fn begin(half_open: &mut HalfOpen, job: &Job, now: Time) -> bool {
    let Target { address, port, via, .. } = *job.target;
    let monitor = &job.probe.monitor;
    monitor.check == (Check::Tcp { connect: false })
        && via.is_none()
        && half_open.begin(job.number, SocketAddr::new(address, port), monitor.timeout_s, now)
}

async fn ready(half_open: Option<&mut HalfOpen>) {
    match half_open {
        Some(half_open) => half_open.ready().await,
        None => std::future::pending().await,
    }
}

fn note(checks: &mut Checks, number: u64, attempt: Attempt, now: Time, news: &UnboundedSender<News>) {
    let Attempt { outcome, aside } = attempt;
    let reason = outcome.as_ref().err().cloned().unwrap_or_default();
    if let Some(Noted { target, change, aside }) = checks.handle_outcome(number, outcome, aside, now) {
        let verdict = checks.verdict(&target);
        // They are heard as long as the handle is there.
        let _ = news.send(News { target, change, verdict, reason, aside });
    }
}

#[cfg(test)]
mod tests;
