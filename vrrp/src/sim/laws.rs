//! Laws of N boxes on one network. Bounds are those of the protocol plus the delay of the link, never a guess.

use super::*;
use crate::router::{ANNOUNCE_GAP, ASSERT_GAP, Preempt, Why};

const INTERVAL: Duration = Duration::from_millis(100);
/// Longest delay of a whole link.
const DELAY: Duration = Duration::from_micros(500);
/// An active router that hears nobody cannot know that a client was misled by a box that is gone: the refresh is for that.
/// Short, to see it; the partition laws below end before it.
const REFRESH: Duration = Duration::from_secs(4);
const SEEDS: std::ops::Range<u64> = 0..40;

/// `priorities` on one network, at 100 ms; addresses rise with the index.
fn sim(seed: u64, priorities: &[u8], preempt: bool) -> Sim {
    let configs: Vec<Vec<Config>> = priorities
        .iter()
        .map(|priority| {
            let preempt = if preempt { Preempt::On { delay: Duration::ZERO } } else { Preempt::Off };
            vec![Config { preempt, refresh: Some(REFRESH), ..config(0, *priority, 10) }]
        })
        .collect();
    let hosts: Vec<Vec<u8>> = (1..).take(priorities.len()).map(|host| vec![host]).collect();
    Sim::new(seed, &configs, &hosts)
}

/// All started, at random instants within an interval, and left alone until one is active for long.
fn settled(seed: u64, priorities: &[u8], preempt: bool) -> Sim {
    let mut sim = sim(seed, priorities, preempt);
    for node in 0..priorities.len() {
        sim.start(node);
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
    }
    sim.run(Duration::from_secs(3), |_| {});
    sim
}

fn down(priority: u8) -> Duration {
    AdvertInterval::centis(10).unwrap().active_down(Priority::new(priority).unwrap())
}

fn skew(priority: u8) -> Duration {
    AdvertInterval::centis(10).unwrap().skew(Priority::new(priority).unwrap())
}

/// Distinct priorities 1..=254 for 2 to 5 boxes, in any order, more than the delay of the link apart in skew.
fn priorities(rng: &mut Rng) -> Vec<u8> {
    let count = usize::try_from(rng.between(2, 5)).unwrap();
    let mut list: Vec<u8> = (0..5_u8).map(|step| 254 - step * 40).take(count).collect();
    for last in (1..list.len()).rev() {
        let other = usize::try_from(rng.between(0, last as u64)).unwrap();
        list.swap(last, other);
    }
    list
}

fn highest(priorities: &[u8]) -> usize {
    (0..priorities.len()).max_by_key(|node| priorities[*node]).unwrap()
}

/// Everything that can go wrong, for some seconds.
fn chaos(sim: &mut Sim) {
    let boxes = sim.nodes.len();
    sim.set_links(&Link::bad(boxes));
    for _ in 0..sim.rng.between(3, 25) {
        let node = usize::try_from(sim.rng.between(0, boxes as u64 - 1)).unwrap();
        match sim.rng.between(0, 8) {
            0 => sim.links[0].side[node] ^= 1,
            1 => sim.links[0].side.fill(0),
            2 => sim.kill(node),
            3 => sim.power_off(node),
            4 if !sim.nodes[node].alive => sim.start(node),
            5 => sim.input(node, SyncGroup::shutdown),
            6 => sim.input(node, |group, now| group.start(false, now)),
            7 => sim.input(node, |group, now| group.handle_link(0, false, now)),
            8 => sim.input(node, |group, now| {
                let _ = group.hand_over(now);
            }),
            _ => {}
        }
        let pause = Duration::from_micros(sim.rng.between(0, 600_000));
        sim.run(pause, |_| {});
    }
}

/// The link is whole, every box runs.
fn repair(sim: &mut Sim) {
    sim.set_links(&Link::whole(sim.nodes.len()));
    for node in 0..sim.nodes.len() {
        if !sim.nodes[node].alive {
            sim.start(node);
        }
        sim.input(node, |group, now| {
            group.handle_link(0, true, now);
            group.start(false, now);
        });
    }
}

/// The law of laws: once the link is whole, two boxes hold the addresses for no longer than it takes a packet to tell
/// one of them; and from then on exactly one does, whom both clients send to.
#[test]
fn one_active_once_the_link_is_whole() {
    for seed in SEEDS {
        let preempt = seed % 2 == 0;
        let list = priorities(&mut Rng::new(seed));
        let mut sim = sim(seed, &list, preempt);
        for node in 0..list.len() {
            sim.start(node);
        }
        chaos(&mut sim);
        repair(&mut sim);
        // Packets of the bad time are still on their way for 40 ms. After that every active router has spoken within an
        // interval (two if it was restarted just now), and the others have heard it.
        let whole = sim.now;
        let told = whole + Duration::from_millis(40) + INTERVAL * 9 / 8 + INTERVAL + DELAY + ASSERT_GAP;
        let mut since: Option<Instant> = None;
        let mut look = |sim: &Sim| {
            let holders = sim.holders(0);
            match since {
                None if holders.len() > 1 => since = Some(sim.now),
                Some(_) if holders.len() <= 1 => since = None,
                None => {}
                Some(start) => {
                    let limit = start.max(told) + DELAY + DELAY;
                    assert!(sim.now <= limit, "seed {seed} {list:?}: {holders:?} for {:?}", sim.now.since(start));
                }
            }
        };
        sim.run(Duration::from_secs(2), &mut look);
        let holders = sim.holders(0);
        assert_eq!(holders.len(), 1, "seed {seed} {list:?}");
        // Nothing moves any more.
        let transitions = sim.log.len();
        sim.run(REFRESH, look);
        assert_eq!((sim.holders(0), sim.log.len()), (holders.clone(), transitions), "seed {seed} {list:?}");
        assert_eq!(sim.arp[0], [Some(holders[0]); 2], "seed {seed} {list:?}: black-holed");
    }
}

/// RFC 9568 §6.1: with preemption the highest priority is active in the end, whatever happened before.
#[test]
fn the_highest_priority_wins() {
    for seed in SEEDS {
        let list = priorities(&mut Rng::new(seed));
        let mut sim = sim(seed, &list, true);
        for node in 0..list.len() {
            sim.start(node);
        }
        chaos(&mut sim);
        repair(&mut sim);
        // A command is not forgotten: who was told to hand over is told to take back.
        for node in 0..list.len() {
            sim.run(Duration::from_secs(1), |_| {});
            sim.input(node, |group, now| {
                let _ = group.hand_back(now);
            });
        }
        sim.run(Duration::from_secs(2), |_| {});
        assert_eq!(sim.holders(0), [highest(&list)], "seed {seed} {list:?}");
    }
}

/// Equal priorities: whoever is active stays, and after a partition the higher address.
#[test]
fn equal_priorities_are_told_apart_by_address() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[253, 253], seed % 2 == 0);
        let first = sim.holders(0);
        assert_eq!(first.len(), 1);
        let transitions = sim.log.len();
        sim.run(Duration::from_secs(5), |_| {});
        assert_eq!(sim.log.len(), transitions, "no flapping");
        sim.links[0].side = vec![0, 1];
        sim.run(Duration::from_secs(2), |_| {});
        assert_eq!(sim.holders(0), [0, 1]);
        sim.links[0].side = vec![0, 0];
        sim.run(INTERVAL + DELAY * 2, |_| {});
        assert_eq!(sim.holders(0), [1]);
        sim.run(Duration::from_secs(2), |_| {});
        assert_eq!(sim.arp[0], [Some(1); 2], "black-holed");
    }
}

/// A partition heals within one interval, with the right winner, and no client keeps the loser's
/// hardware address. keepalived left 9 of 20 black-holed.
#[test]
fn a_healed_partition_leaves_no_client_behind() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[200, 100], false);
        sim.links[0].side = vec![0, 1];
        let pause = Duration::from_micros(sim.rng.between(400_000, 2_000_000));
        sim.run(pause, |_| {});
        assert_eq!(sim.holders(0), [0, 1]);
        assert_eq!(sim.arp[0], [Some(0), Some(1)], "each side has its own");
        sim.links[0].side = vec![0, 0];
        sim.run(INTERVAL + DELAY, |_| {});
        assert_eq!(sim.holders(0), [0], "seed {seed}");
        // The goodbye of the loser, the announcement of the winner; it waits if the one before it was just made, and the
        // loser's own came in between.
        sim.run(DELAY * 2 + ANNOUNCE_GAP, |_| {});
        assert_eq!(sim.arp[0], [Some(0); 2], "seed {seed}: black-holed");
    }
}

/// RFC 9568 §5.2.4, §6.4.2: priority 0 hands over to the highest backup within its skew.
#[test]
fn priority_0_hands_over_within_skew() {
    for seed in SEEDS {
        let list = priorities(&mut Rng::new(seed));
        let mut sim = settled(seed, &list, true);
        let [active] = sim.holders(0)[..] else { panic!("one is active") };
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        let stopped = sim.now;
        sim.input(active, SyncGroup::shutdown);
        let next = (0..list.len()).filter(|node| *node != active).max_by_key(|node| list[*node]).unwrap();
        sim.run(skew(list[next]) + DELAY, |_| {});
        assert_eq!(sim.holders(0), [next], "seed {seed} {list:?}");
        let taken = sim.log.last().unwrap();
        assert_eq!((taken.node, taken.net), (next, 0));
        assert!(taken.transition.at >= stopped + skew(list[next]));
        assert!(matches!(taken.transition.why, Why::Resigned(_)));
    }
}

/// RFC 9568 §6.1: power loss is noticed after Active_Down_Interval from the last advertisement, not later, not sooner.
#[test]
fn power_loss_is_noticed_at_active_down_interval() {
    for seed in SEEDS {
        let list = priorities(&mut Rng::new(seed));
        let mut sim = settled(seed, &list, true);
        let active = highest(&list);
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        sim.power_off(active);
        let next = (0..list.len()).filter(|node| *node != active).max_by_key(|node| list[*node]).unwrap();
        let last_sent = sim.last_sent[active].unwrap();
        sim.run(Duration::from_secs(1), |_| {});
        assert_eq!(sim.holders(0), [next], "seed {seed} {list:?}");
        let detected = sim.log.last().unwrap().transition.at.since(last_sent);
        assert!(detected >= down(list[next]) && detected <= down(list[next]) + DELAY, "seed {seed}: {detected:?}");
    }
}

/// Without preemption the box that returns stays backup, whatever its priority.
#[test]
fn the_box_that_returns_stays_backup() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[254, 100], false);
        let [active] = sim.holders(0)[..] else { panic!("one is active") };
        sim.power_off(active);
        sim.run(Duration::from_secs(2), |_| {});
        sim.start(active);
        let transitions = sim.log.len();
        sim.run(Duration::from_secs(5), |_| {});
        assert_eq!(sim.holders(0), [1 - active]);
        assert_eq!(sim.log.len(), transitions);
    }
}

/// Killed at any phase and started again within 85 ms, nobody else moves and the addresses never leave:
/// 100 ms since the last advertisement, 85, and 112.5 of listening are less than the 301.2 that the other waits.
#[test]
fn a_killed_process_resumes_unnoticed() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[253, 253], false);
        let [active] = sim.holders(0)[..] else { panic!("one is active") };
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        sim.kill(active);
        let restart = Duration::from_micros(sim.rng.between(1_000, 85_000));
        sim.run(restart, |_| {});
        sim.start(active);
        sim.run(Duration::from_secs(3), |sim| assert_eq!(sim.holders(0), [active], "seed {seed}"));
        assert_eq!(sim.role(active, 0), Role::Active);
        assert_eq!(sim.role(1 - active, 0), Role::Backup);
    }
}

/// Unless it hears a higher advertisement first: it says nothing but goodbye then, whatever the phase.
#[test]
fn a_killed_process_finds_a_higher_successor() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[100, 100], false);
        let [active] = sim.holders(0)[..] else { panic!("one is active") };
        // Only the higher address can be a higher successor.
        if active == 1 {
            sim.input(1, |group, now| group.hand_over(now).unwrap());
            sim.run(Duration::from_secs(2), |_| {});
        }
        assert_eq!(sim.holders(0), [0]);
        sim.kill(0);
        sim.run(Duration::from_secs(1), |_| {});
        assert_eq!(sim.holders(0), [0, 1], "the kernel of the killed one keeps the addresses");
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        sim.start(0);
        sim.run(INTERVAL + DELAY, |_| {});
        assert_eq!(sim.holders(0), [1], "seed {seed}");
        assert_eq!(sim.nodes[0].group.members()[0].stats().sent, 1, "seed {seed}");
        assert_eq!(sim.arp[0], [Some(1); 2], "seed {seed}");
    }
}

/// By hand, over and back: each within the skew of the other box or at once, and nobody else's idea in between.
#[test]
fn hand_over_and_hand_back() {
    for seed in SEEDS {
        let mut sim = settled(seed, &[254, 253], true);
        assert_eq!(sim.holders(0), [0]);
        sim.input(0, |group, now| group.hand_over(now).unwrap());
        sim.run(skew(253) + DELAY, |_| {});
        assert_eq!(sim.holders(0), [1]);
        sim.run(Duration::from_secs(10), |_| {});
        assert_eq!(sim.holders(0), [1], "preemption waits for the command");
        sim.input(0, |group, now| group.hand_back(now).unwrap());
        sim.run(DELAY, |_| {});
        assert_eq!(sim.holders(0), [0]);
    }
}

/// RFC 9568 §6.4.2: a backup of another interval follows that of the active router. holo and keepalived 2.2.7 with
/// version 2's rule become a second active router here.
#[test]
fn boxes_of_different_intervals_agree() {
    for seed in SEEDS {
        let configs = [vec![config(0, 254, 50)], vec![config(0, 100, 5)]];
        let mut sim = Sim::new(seed, &configs, &[vec![1], vec![2]]);
        sim.start(0);
        sim.run(Duration::from_secs(3), |_| {});
        sim.start(1);
        // The fast one may be first to act before it has heard the slow one.
        sim.run(Duration::from_secs(2), |_| {});
        sim.run(Duration::from_secs(5), |sim| assert_eq!(sim.holders(0), [0], "seed {seed}"));
    }
}
