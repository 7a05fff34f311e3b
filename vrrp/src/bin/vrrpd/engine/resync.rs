//! What the kernel says of links and addresses while a dump is under way, because messages before were lost. Pure.
//!
//! A dump is made by another thread and comes late: what was heard since it was asked for may be newer than it, and is taken in once more on
//! top. Each message says how one thing is and not what changed, so that the last about it is right, however often it is told.

use netlink_packet_route::RouteNetlinkMessage;

use crate::links::Links;

/// Nothing was lost, or a dump is asked for, or it is owed.
#[derive(Debug, Default)]
pub(super) enum Resync {
    /// All is known.
    #[default]
    Whole,
    /// Asked for; and what was heard since.
    Asked(Vec<RouteNetlinkMessage>),
    /// Messages were lost again since it was asked for: it will be too old.
    Again,
    /// The last one failed.
    Owed,
}

impl Resync {
    /// Messages were lost. Whether a dump has to be asked for.
    #[must_use]
    pub(super) fn lost(&mut self) -> bool {
        let under_way = matches!(self, Self::Asked(_) | Self::Again);
        *self = if under_way { Self::Again } else { Self::Asked(Vec::new()) };
        !under_way
    }

    /// A message is taken in.
    pub(super) fn note(&mut self, message: &RouteNetlinkMessage) {
        if let Self::Asked(since) = self {
            since.push(message.clone());
        }
    }

    /// Time passed. Whether a dump has to be asked for.
    #[must_use]
    pub(super) fn retry(&mut self) -> bool {
        matches!(self, Self::Owed) && self.lost()
    }

    /// The dump failed.
    pub(super) fn failed(&mut self) {
        *self = Self::Owed;
    }

    /// The dump is there: how it looks now. `None` when it is too old, and another has to be asked for.
    pub(super) fn dumped(&mut self, dump: &[RouteNetlinkMessage]) -> Option<Links> {
        match std::mem::take(self) {
            Self::Again => {
                *self = Self::Asked(Vec::new());
                None
            }
            Self::Asked(since) => Some(links(dump.iter().chain(&since))),
            // Nobody asked for it; what is in it is right all the same.
            Self::Whole | Self::Owed => Some(links(dump.iter())),
        }
    }
}

fn links<'m>(messages: impl Iterator<Item = &'m RouteNetlinkMessage>) -> Links {
    let mut links = Links::default();
    for message in messages {
        links.handle(message);
    }
    links
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

    use super::*;

    fn link(index: u32, up: bool) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = if up { LinkFlags::Up | LinkFlags::LowerUp } else { LinkFlags::Up };
        message.attributes = vec![LinkAttribute::IfName(format!("eth{index}"))];
        message
    }

    fn new(index: u32, up: bool) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewLink(link(index, up))
    }

    #[test]
    fn what_was_heard_since_is_newer_than_the_dump() {
        let mut resync = Resync::default();
        assert!(resync.lost());
        resync.note(&new(3, false));
        resync.note(&RouteNetlinkMessage::DelLink(link(4, true)));
        resync.note(&new(5, true));
        // Made before any of it.
        let links = resync.dumped(&[new(2, true), new(3, true), new(4, true)]).unwrap();
        let seen: Vec<(u32, bool)> = links.iter().map(|(index, link)| (index, link.up)).collect();
        assert_eq!(seen, [(2, true), (3, false), (5, true)]);
        assert!(resync.lost(), "all was known again");
    }

    #[test]
    fn what_is_lost_meanwhile_needs_another_dump_and_one_is_under_way_at_most() {
        let mut resync = Resync::default();
        assert!(resync.lost() && !resync.lost() && !resync.lost());
        resync.note(&new(9, true));
        assert!(resync.dumped(&[new(2, true)]).is_none(), "too old: ask again");
        assert!(!resync.retry(), "it is asked for");
        assert_eq!(resync.dumped(&[new(2, true)]).unwrap().iter().count(), 1);
        assert!(!resync.retry());
    }

    #[test]
    fn one_that_failed_is_asked_for_when_time_passes() {
        let mut resync = Resync::default();
        assert!(!resync.retry());
        assert!(resync.lost());
        resync.failed();
        assert!(resync.retry() && !resync.retry());
    }
}
