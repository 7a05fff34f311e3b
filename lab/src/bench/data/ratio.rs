//! What pairs of measurements say about a ratio: the middle one, and an interval that needs to know nothing of how they are spread.
//!
//! Each pair is taken within one or two seconds, so what disturbs the machine disturbs both of it; what disturbs one alone makes an outlier, which moves
//! a median by one rank whatever its size.

/// The median of `ratios` and its 95 % interval: the narrowest pair of order statistics, as far from one end as from the other, between which the
/// true median is with at least that probability (the sign test turned around). `None` below six, where there is no such pair.
pub(super) fn median(ratios: &[f64]) -> Option<(f64, (f64, f64))> {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // Each ratio is below the true median with probability 1/2. `rank` grows while so few of them would be below it at most once in 40 times.
    let mut probability = 0.5_f64.powi(i32::try_from(n).ok()?);
    let (mut below, mut rank) = (probability, 0);
    while below <= 0.025 {
        rank += 1;
        probability *= (n + 1 - rank) as f64 / rank as f64;
        below += probability;
    }
    let low = *sorted.get(rank.checked_sub(1)?)?;
    let middle = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
    Some((middle, (low, sorted[n - rank])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        // Conover, Practical Nonparametric Statistics, table A3: ranks 6 and 15 of 20, 2 and 9 of 10, 1 and 6 of 6.
        for (n, low, high) in [(20, 6.0, 15.0), (10, 2.0, 9.0), (6, 1.0, 6.0), (30, 10.0, 21.0)] {
            let ratios: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            assert_eq!(median(&ratios), Some((f64::from(n + 1) / 2.0, (low, high))), "{n}");
        }
        assert_eq!(median(&[1.0; 5]), None, "five say too little");
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_wild_pair_moves_it_by_one_rank() {
        let mut ratios: Vec<f64> = (0..21).map(|i| 1.0 + f64::from(i) / 1000.0).collect();
        let (calm, _) = median(&ratios).unwrap();
        ratios[0] = 1e6;
        let (wild, _) = median(&ratios).unwrap();
        assert!((wild - calm - 0.001).abs() < 1e-9, "{calm} {wild}");
    }
}
