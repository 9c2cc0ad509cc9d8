//! Prints what our statistics make of some numbers, with the numbers: `hold_statistics.py` beside this file
//! holds it against SciPy, statsmodels and SALib.

use loadbearing::stats::{BatchMeans, Effect, Index, Interval};
use loadbearing::stats::{
    Weighed, batch_means_interval, binomial_probability_at_most, bootstrap_interval, holm,
    incomplete_beta, independence, latin_hypercube, mean_and_error, mean_interval, morris,
    morris_points, mser5, normal_probability, normal_quantile, overlapping_batch_means,
    overlapping_batch_ratio, paired_difference, possibly_smallest, proportion_interval,
    quantile_interval, ratio, sobol_design, sobol_indices, sobol_points, student_t_probability,
    student_t_quantile, trend,
};
use loadbearing::stream::{Seed, StreamKey};
use loadbearing::units::Duration;
use serde_json::{Value, json};

fn stream(name: &str) -> StreamKey {
    Seed(11).replication(0).named(name)
}

fn uniform(name: &str, count: usize) -> Vec<f64> {
    let mut draws = stream(name).draw(0);
    (0..count).map(|_| draws.unit().clamp(1e-12, 1.0 - 1e-12)).collect()
}

fn exponential(name: &str, count: usize) -> Vec<f64> {
    uniform(name, count).into_iter().map(|it| -libm::log(it)).collect()
}

/// A series in which each value is like the one before, with a start that fades away.
fn correlated(name: &str, count: usize, start: f64) -> Vec<f64> {
    let mut value = 0.0;
    let one = |(step, unit): (usize, f64)| {
        value = 0.8 * value + 0.6 * normal_quantile(unit);
        10.0 + value + start * libm::exp(-(step as f64) / 40.0)
    };
    uniform(name, count).into_iter().enumerate().map(one).collect()
}

fn ends(interval: Option<Interval>) -> Value {
    interval.map_or(Value::Null, |it| json!([it.estimate, it.low, it.high]))
}

/// Ishigami and Homma's function, of three inputs between 0 and 1.
fn ishigami(point: &[f64]) -> f64 {
    let [x, y, z] = [0, 1, 2].map(|it| std::f64::consts::PI * (2.0 * point[it] - 1.0));
    libm::sin(x) * (1.0 + 0.1 * z.powi(4)) + 7.0 * libm::sin(y).powi(2)
}

fn laws() -> Value {
    let degrees = [1.0, 2.0, 4.0, 9.5, 30.0, 250.0];
    let levels = [0.001, 0.025, 0.2, 0.5, 0.9, 0.975, 0.9995];
    let t = degrees.iter().flat_map(|df| {
        levels.map(|p| {
            let quantile = student_t_quantile(p, *df);
            json!([p, df, quantile, student_t_probability(quantile, *df)])
        })
    });
    let normal =
        levels.map(|p| json!([p, normal_quantile(p), normal_probability(normal_quantile(p))]));
    let beta = [(0.3, 0.5, 2.0), (2.0, 3.0, 0.25), (20.0, 1.5, 0.9), (50.0, 60.0, 0.45)].map(
        |(a, b, x): (f64, f64, f64)| json!([a, b, x.min(0.99), incomplete_beta(a, b, x.min(0.99))]),
    );
    let binomial = [(0, 10, 0.1), (3, 10, 0.5), (40, 100, 0.35), (100, 100, 0.9)]
        .map(|(k, n, p)| json!([k, n, p, binomial_probability_at_most(k, n, p)]));
    json!({ "t": t.collect::<Vec<Value>>(), "normal": normal, "beta": beta, "binomial": binomial })
}

fn intervals() -> Value {
    let values = exponential("values", 25);
    let (before, after) = (exponential("before", 12), exponential("after", 12));
    let long = exponential("long", 60);
    let quantiles = [(0.5, 25), (0.5, 8), (0.9, 60), (0.25, 60), (0.9, 12)].map(|(p, count)| {
        json!({ "p": p, "values": long[..count], "ends": ends(quantile_interval(&long[..count], p, 0.95)) })
    });
    let counts = [(0, 20), (1, 20), (7, 20), (20, 20), (3, 1_000)];
    let counts =
        counts.map(|(count, of)| json!([count, of, ends(proportion_interval(count, of, 0.95))]));
    let resampled = bootstrap_interval(&long, mean_and_error, 20_000, 0.9, stream("bootstrap"));
    let few = bootstrap_interval(&long[..10], mean_and_error, 20_000, 0.95, stream("few"));
    json!({
        "values": values, "mean": ends(mean_interval(&values, 0.95)),
        "before": before, "after": after,
        "paired": ends(paired_difference(&before, &after, 0.9)),
        "ratio": ends(ratio(&after, &before, 0.95)),
        "quantiles": quantiles, "counts": counts,
        "long": long, "bootstrap": ends(resampled), "bootstrap_of_ten": ends(few),
    })
}

fn series() -> Value {
    let steady = correlated("steady", 400, 0.0);
    let settling = correlated("settling", 1_003, 30.0);
    let batches = |length: usize| {
        let BatchMeans { estimate, error, degrees } =
            overlapping_batch_means(&steady, length).expect("long enough");
        json!([length, estimate, error, degrees])
    };
    let weights = exponential("weights", steady.len());
    let steps: Vec<Weighed> = steady.iter().copied().zip(weights.iter().copied()).collect();
    let weighed = |length: usize| {
        let BatchMeans { estimate, error, degrees } =
            overlapping_batch_ratio(&steps, length).expect("long enough");
        json!([length, estimate, error, degrees])
    };
    let independent = |batches: usize| json!([batches, independence(&steps, batches)]);
    let cut = mser5(&settling);
    let growing: Vec<f64> =
        steady.iter().enumerate().map(|(step, value)| value + 0.01 * step as f64).collect();
    let rising = trend(&growing, Duration::secs(2));
    json!({
        "steady": steady, "weights": weights, "weighed": [weighed(1), weighed(5), weighed(20)],
        "independence": [independent(8), independent(20), independent(80)],
        "overlapping": [batches(1), batches(5), batches(20), batches(50)],
        "batches": ends(batch_means_interval(&steady, 20, 0.95)),
        "settling": settling, "mser5": { "index": cut.index, "statistic": cut.statistic },
        "growing": growing, "slope_per_s": rising.per_second,
    })
}

fn designs() -> Value {
    let p_values: Vec<f64> = uniform("p", 12).into_iter().map(|p| p.powi(4)).collect();
    let designs: Vec<Vec<f64>> = (0..5)
        .map(|index| {
            let values = exponential(&format!("design {index}"), 15);
            values.into_iter().map(|value| value + 0.3 * f64::from(index)).collect()
        })
        .collect();
    let base = 512;
    let design = sobol_design(base, 3, Some(stream("sobol")));
    let outputs: Vec<f64> = design.iter().map(|point| ishigami(point)).collect();
    let rows: Vec<usize> = (0..base).collect();
    let indices = sobol_indices(&outputs, base, 3, &rows);
    let indices: Vec<Value> =
        indices.iter().map(|Index { first, total }| json!([first, total])).collect();
    let walks = morris_points(50, 4, 3, stream("morris"));
    let walked: Vec<f64> = walks.iter().map(|point| ishigami(point)).collect();
    let effects: Vec<Value> = morris(&walks, &walked)
        .iter()
        .map(|Effect { mean, size, deviation }| json!([mean, size, deviation]))
        .collect();
    json!({
        "p_values": p_values, "holm": holm(&p_values, 0.05),
        "designs": designs, "possibly_smallest": possibly_smallest(&designs, 0.95),
        "sobol": { "base": base, "outputs": outputs, "indices": indices },
        "morris": { "points": walks, "outputs": walked, "effects": effects },
        "sequence": sobol_points(256, 21, None),
        "hypercube": latin_hypercube(50, 6, stream("hypercube")),
    })
}

fn main() {
    let all = json!({
        "laws": laws(), "intervals": intervals(), "series": series(), "designs": designs(),
    });
    println!("{all}");
}
