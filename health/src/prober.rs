//! The thread that probes: it owns [`Checks`], makes the attempts that are due, and tells of changes.
//!
//! A thread of its own, so that ten thousand probes never hold up whoever changes or shows the configuration, and the other way round. It is told
//! what to probe and never asks; what it has to say is a message. Its clock is the caller's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::probe::Attempt;
use crate::target::Probe;
use crate::{Change, Checks, Noted, Report, Target, Time, Verdict, probe};

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
}

#[derive(Debug)]
enum Order {
    Probe(Wanted),
    Report(oneshot::Sender<Vec<Report>>),
}

/// A handle of the thread, which ends when the handle is dropped.
#[derive(Debug, Clone)]
pub struct Prober(UnboundedSender<Order>);

impl Prober {
    /// Starts the thread. Changes go to `news`; `now` reads the monotonic clock.
    ///
    /// # Errors
    /// When there is no thread or no descriptor left.
    pub fn start(news: UnboundedSender<News>, now: fn() -> Time) -> io::Result<Self> {
        let (orders, received) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, run(received, news, now)))?;
        Ok(Self(orders))
    }

    /// Probes these from now on, and no others.
    pub fn probe(&self, wanted: Wanted) {
        // It ends only with its handles.
        let _ = self.0.send(Order::Probe(wanted));
    }

    /// What is known of every target.
    pub async fn reports(&self) -> Vec<Report> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Order::Report(answer));
        answered.await.unwrap_or_default()
    }
}

async fn run(mut orders: UnboundedReceiver<Order>, news: UnboundedSender<News>, now: fn() -> Time) {
    let mut checks = Checks::default();
    let mut hostname = Arc::<str>::from("");
    let (ended, mut outcomes) = unbounded_channel::<(u64, Attempt)>();
    loop {
        while let Some(job) = checks.poll_job(now()) {
            let (ended, hostname) = (ended.clone(), hostname.clone());
            tokio::task::spawn_local(async move {
                let began = now();
                let elapsed = || now().saturating_sub(began);
                let attempt = probe::attempt(&job.target, &job.probe, &hostname, elapsed).await;
                let _ = ended.send((job.number, attempt));
            });
        }
        let idle = checks.poll_timeout().map_or(Duration::MAX, |at| at.saturating_sub(now()));
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Probe(wanted)) => {
                    checks.handle_targets(&wanted.targets, &wanted.known, now());
                    hostname = wanted.hostname.into();
                }
                Some(Order::Report(answer)) => drop(answer.send(checks.reports())),
                None => return,
            },
            Some((number, Attempt { outcome, aside })) = outcomes.recv() => {
                let reason = outcome.as_ref().err().cloned().unwrap_or_default();
                if let Some(Noted { target, change, aside }) = checks.handle_outcome(number, outcome, aside, now()) {
                    let verdict = checks.verdict(&target);
                    let _ = news.send(News { target, change, verdict, reason, aside });
                }
            }
            () = tokio::time::sleep(idle) => {}
        }
    }
}
