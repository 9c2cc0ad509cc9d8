//! How long it takes until a replica has taken over from a Redis server that is lost.
//!
//! Both products agree before they act; each step waits for a timer.
//!
//! - **Sentinel** (sentinel.c): a sentinel that loses its link sends a PING into the next one within a
//!   timer of 100 ms, and holds the master for down when that has no answer for
//!   `down-after-milliseconds`. As soon as `quorum` of them do, the last of these starts a failover: the
//!   votes, the choice of a replica and `REPLICAOF NO ONE` take a timer each. The new master is announced
//!   once its INFO, asked for every second now, says what it is.
//! - **Cluster** (cluster_legacy.c): every second a node pings the one it has not heard of for longest,
//!   and each at least every half node timeout; without an answer for `cluster-node-timeout` it is
//!   suspected. When most masters suspect it, which gossip tells within a second, it has failed. Its most
//!   recent replica waits 500 ms and up to 500 ms more, and asks the masters for their votes.

use crate::units::Duration;

/// Sentinel's timer (server.hz 10) [s].
const TIMER_S: f64 = 0.1;

/// From the loss of a master until clients are told of the new one.
pub fn sentinel(
    down_after: Duration,
    sentinels: u32,
    quorum: u32,
    unit: &mut impl FnMut() -> f64,
) -> Duration {
    let mut down: Vec<f64> = (0..sentinels).map(|_| TIMER_S * (unit() + unit())).collect();
    down.sort_by(f64::total_cmp);
    let agreed = down[quorum.clamp(1, sentinels) as usize - 1];
    // Agreed, elected, chosen, sent: a timer each; then the next INFO.
    Duration::from_secs_f64(down_after.seconds() + agreed + 4.0 * TIMER_S + unit())
}

/// The longest that can take.
pub fn sentinel_at_most(down_after: Duration) -> Duration {
    down_after + Duration::millis(1_600)
}

/// From the loss of one of so many masters, in a cluster of so many nodes, until it is marked as failed.
pub fn cluster_fails(
    node_timeout: Duration,
    masters: u32,
    nodes: u32,
    unit: &mut impl FnMut() -> f64,
) -> Duration {
    let timeout_s = node_timeout.seconds();
    let unheard_s = f64::from(nodes.saturating_sub(1)).min(timeout_s / 2.0);
    let mut suspects: Vec<f64> = (1..masters).map(|_| unheard_s * unit()).collect();
    suspects.sort_by(f64::total_cmp);
    let majority = (masters / 2 + 1) as usize;
    let last = suspects[majority.min(suspects.len()) - 1];
    Duration::from_secs_f64(timeout_s + last + unit())
}

/// From then until a replica has the votes.
pub fn cluster_elects(unit: &mut impl FnMut() -> f64) -> Duration {
    Duration::from_secs_f64(0.5 + 0.5 * unit() + TIMER_S)
}

/// The longest that both can take.
pub fn cluster_at_most(node_timeout: Duration) -> Duration {
    node_timeout + node_timeout.half() + Duration::millis(2_100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Seed;

    fn mean(mut take: impl FnMut(&mut dyn FnMut() -> f64) -> Duration) -> (f64, f64, f64) {
        let mut draws = Seed(1).replication(0).named("failover").draw(0);
        let mut unit = || draws.unit();
        let all: Vec<f64> = (0..20_000).map(|_| take(&mut unit).seconds()).collect();
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        (least, all.iter().sum::<f64>() / all.len() as f64, most)
    }

    #[test]
    fn sentinels_take_their_patience_and_a_second() {
        let take = |quorum| mean(|mut unit| sentinel(Duration::secs(30), 3, quorum, &mut unit));
        let (least, two, most) = take(2);
        assert!(least >= 30.4 && most <= sentinel_at_most(Duration::secs(30)).seconds());
        // 30 s, the middle one of three sums of two timers, four timers, half of a second.
        assert!((two - 31.0).abs() < 0.01, "{two}");
        assert!(take(3).1 > two + 0.02 && take(1).1 < two - 0.02, "later for a larger quorum");
    }

    #[test]
    fn a_cluster_takes_its_timeout_and_an_election() {
        let fails =
            |masters| mean(|mut unit| cluster_fails(Duration::secs(15), masters, 6, &mut unit));
        let (least, three, most) = fails(3);
        assert!(least >= 15.0 && most <= 15.0 + 5.0 + 1.0);
        // Two of three must agree: the later of two that are uniform over 5 s, and half of a second.
        assert!((three - (15.0 + 5.0 * 2.0 / 3.0 + 0.5)).abs() < 0.03, "{three}");
        let (least, elects, most) = mean(|mut unit| cluster_elects(&mut unit));
        assert!(least >= 0.6 && most <= 1.1 && (elects - 0.85).abs() < 0.01);
    }
}
