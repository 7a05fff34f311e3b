//! Laws of sync groups: two boxes, two networks, and everything in between may break on either.

use super::*;
use crate::router::Preempt;

const INTERVAL: Duration = Duration::from_millis(100);
const DELAY: Duration = Duration::from_micros(500);
/// See `laws`.
const REFRESH: Duration = Duration::from_secs(4);
const SEEDS: std::ops::Range<u64> = 0..40;

/// Two boxes on two networks. The addresses are ordered against each other: box 0 is the lower one on network 0 and the
/// higher one on network 1.
fn sim(seed: u64, priorities: [u8; 2], preempt: bool) -> Sim {
    let configs: Vec<Vec<Config>> = priorities
        .iter()
        .map(|priority| {
            let preempt = if preempt { Preempt::On { delay: Duration::ZERO } } else { Preempt::Off };
            (0..2).map(|net| Config { preempt, refresh: Some(REFRESH), ..config(net, *priority, 10) }).collect()
        })
        .collect();
    Sim::new(seed, &configs, &[vec![1, 9], vec![2, 8]])
}

fn settled(seed: u64, priorities: [u8; 2], preempt: bool) -> Sim {
    let mut sim = sim(seed, priorities, preempt);
    for node in 0..2 {
        sim.start(node);
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
    }
    sim.run(Duration::from_secs(3), |_| {});
    sim
}

/// No box ever holds the addresses of one network alone.
fn never_half(sim: &Sim) {
    for (index, node) in sim.nodes.iter().enumerate() {
        assert!(node.holds[0] == node.holds[1], "box {index} holds {:?}", node.holds);
    }
}

/// The one box that is active on both networks.
fn the_active(sim: &Sim) -> usize {
    let [active] = sim.holders(0)[..] else { panic!("{:?} hold network 0", sim.holders(0)) };
    assert_eq!(sim.holders(1), [active]);
    assert_eq!((sim.role(active, 0), sim.role(active, 1)), (Role::Active, Role::Active));
    active
}

/// Whatever happens to either network, a box is active on both or on none; and once both are whole, exactly one box is,
/// the higher one if it preempts.
#[test]
fn members_move_together_and_converge() {
    for seed in SEEDS {
        let equal = seed % 3 == 0;
        let preempt = seed % 2 == 0;
        let mut sim = sim(seed, if equal { [253, 253] } else { [200, 253] }, preempt);
        sim.start(0);
        sim.start(1);
        for _ in 0..sim.rng.between(5, 25) {
            let net = usize::try_from(sim.rng.between(0, 1)).unwrap();
            let node = usize::try_from(sim.rng.between(0, 1)).unwrap();
            match sim.rng.between(0, 7) {
                0 => sim.links[net].side = vec![0, 1],
                1 => sim.links[net].side = vec![0, 0],
                2 => sim.links[net] = Link::bad(2),
                3 => sim.links[net] = Link::whole(2),
                4 => sim.input(node, |group, now| group.handle_link(net, false, now)),
                5 => sim.input(node, |group, now| group.handle_link(net, true, now)),
                6 => sim.power_off(node),
                _ if !sim.nodes[node].alive => sim.start(node),
                _ => {}
            }
            let pause = Duration::from_micros(sim.rng.between(0, 500_000));
            sim.run(pause, never_half);
        }
        sim.set_links(&Link::whole(2));
        for node in 0..2 {
            if !sim.nodes[node].alive {
                sim.start(node);
            }
            for net in 0..2 {
                sim.input(node, |group, now| group.handle_link(net, true, now));
            }
        }
        sim.run(Duration::from_secs(3), never_half);
        let active = the_active(&sim);
        assert!(equal || !preempt || active == 1, "seed {seed}: the higher priority");
        let transitions = sim.log.len();
        sim.run(REFRESH, never_half);
        assert_eq!(sim.arp, [[Some(active); 2]; 2], "seed {seed}: black-holed");
        assert_eq!(sim.log.len(), transitions, "seed {seed}: it flaps");
    }
}

/// One network cut between the boxes, with all links up: nobody takes half, nobody flaps.
#[test]
fn one_cut_network_moves_nothing() {
    for seed in SEEDS {
        let mut sim = settled(seed, [200, 253], seed % 2 == 0);
        let active = the_active(&sim);
        let transitions = sim.log.len();
        sim.links[usize::try_from(seed % 2).unwrap()].side = vec![0, 1];
        sim.run(Duration::from_secs(5), |sim| assert_eq!(the_active(sim), active));
        assert_eq!(sim.log.len(), transitions);
    }
}

/// A fault on one network hands over both: the one that can still speak resigns.
#[test]
fn a_fault_of_one_member_moves_all() {
    for seed in SEEDS {
        let mut sim = settled(seed, [253, 253], false);
        let active = the_active(&sim);
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        // The port of network 0 loses its carrier: what is sent there is lost.
        sim.links[0].side = vec![0, 1];
        let broken = sim.now;
        sim.input(active, |group, now| group.handle_link(0, false, now));
        sim.run(Duration::from_secs(1), never_half);
        assert_eq!(the_active(&sim), 1 - active);
        let taken = sim.log.last().unwrap().transition.at;
        let down = AdvertInterval::centis(10).unwrap().active_down(Priority::new(253).unwrap());
        assert!(taken.since(broken) <= down + DELAY, "seed {seed}");
    }
}

/// An orderly stop hands over both within the skew.
#[test]
fn a_stop_hands_over_both_within_skew() {
    for seed in SEEDS {
        let mut sim = settled(seed, [253, 253], false);
        let active = the_active(&sim);
        sim.input(active, SyncGroup::shutdown);
        let skew = AdvertInterval::centis(10).unwrap().skew(Priority::new(253).unwrap());
        sim.run(skew + DELAY, never_half);
        assert_eq!(the_active(&sim), 1 - active);
    }
}

/// Equal priorities, and addresses that order the boxes differently on each network: after a partition of both networks
/// exactly one box stays, and it is the one that the first network prefers. Without rule 5 both resign to each other.
#[test]
fn one_tie_break_for_all_networks() {
    for seed in SEEDS {
        let mut sim = settled(seed, [253, 253], false);
        let cut = Link { side: vec![0, 1], ..Link::whole(2) };
        sim.set_links(&cut);
        sim.run(Duration::from_secs(2), never_half);
        assert_eq!((sim.holders(0), sim.holders(1)), (vec![0, 1], vec![0, 1]));
        // Heal at a random phase of both boxes' advertisements.
        let pause = Duration::from_micros(sim.rng.between(0, 100_000));
        sim.run(pause, |_| {});
        sim.set_links(&Link::whole(2));
        sim.run(INTERVAL + DELAY * 2, never_half);
        let survivors = sim.holders(0);
        sim.run(Duration::from_secs(2), never_half);
        let active = the_active(&sim);
        assert_eq!(survivors, [active], "seed {seed}");
        assert_eq!(sim.arp, [[Some(active); 2]; 2], "seed {seed}: black-holed");
    }
}

/// The worst phase: both boxes speak on both networks at the same instant, so that each hears itself beaten on one of
/// them. It ends after one more round at most.
#[test]
fn crossing_ties_are_settled_in_one_round() {
    for seed in SEEDS {
        let mut sim = settled(seed, [253, 253], false);
        let cut = Link { side: vec![0, 1], ..Link::whole(2) };
        sim.set_links(&cut);
        sim.run(Duration::from_secs(2), never_half);
        // Both are told something to say at the same instant.
        sim.set_links(&Link::whole(2));
        for node in 0..2 {
            sim.input(node, |group, now| {
                for member in 0..2 {
                    let config = group.members()[member].config().clone();
                    let priority = Priority::new(252).unwrap();
                    group.set_config(member, Config { priority, ..config }, now).unwrap();
                }
            });
        }
        sim.run(Duration::from_secs(1), never_half);
        let transitions = sim.log.len();
        let active = the_active(&sim);
        sim.run(Duration::from_secs(3), never_half);
        assert_eq!(sim.log.len(), transitions, "seed {seed}: it flaps");
        assert_eq!(the_active(&sim), active);
    }
}

/// Tracking on one network lowers the priority on both.
#[test]
fn tracking_of_one_member_counts_for_all() {
    let mut sim = settled(1, [253, 250], true);
    assert_eq!(the_active(&sim), 0);
    let tracking = crate::track::Tracking { failed: false, penalty: 10 };
    sim.input(0, |group, now| group.handle_tracking(1, tracking, now));
    let priorities: Vec<_> = sim.nodes[0].group.members().iter().map(|member| member.priority().get()).collect();
    assert_eq!(priorities, [243, 243]);
    sim.run(Duration::from_secs(1), never_half);
    assert_eq!(the_active(&sim), 1);
    sim.input(0, |group, now| group.handle_tracking(1, crate::track::Tracking::default(), now));
    sim.run(Duration::from_secs(1), never_half);
    assert_eq!(the_active(&sim), 0);
}
