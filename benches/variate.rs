//! What a random number costs, in nanoseconds a draw: `cargo bench --bench variate`.
//!
//! Each row is the median of nine rounds. A row draws either one after another from one sequence,
//! or afresh for every ordinal, as requests do.

use std::hint::black_box;
use std::time::Instant;

use loadbearing::stream::{Draws, Seed, StreamKey};
use loadbearing::variate::{
    KeySampler, Law, Popularity, Sampler, exponential, poisson, standard_normal,
};

const ROUNDS: usize = 9;
const DRAWS: u64 = 1_000_000;

/// Prints the median time of a draw; the sum of what was drawn keeps the compiler honest.
fn row(name: &str, mut round: impl FnMut(StreamKey) -> f64) {
    let root = Seed(1).replication(0);
    let mut nanoseconds = [0.0; ROUNDS];
    for (i, nanosecond) in nanoseconds.iter_mut().enumerate() {
        let key = black_box(root.numbered(i as u64));
        let start = Instant::now();
        black_box(round(key));
        *nanosecond = start.elapsed().as_secs_f64() * 1e9 / DRAWS as f64;
    }
    nanoseconds.sort_by(f64::total_cmp);
    println!("{name:<34} {:>6.1}", nanoseconds[ROUNDS / 2]);
}

fn sequence(name: &str, draw: impl Fn(&mut Draws) -> f64) {
    row(name, |key| {
        let mut draws = key.draw(0);
        (0..DRAWS).map(|_| draw(&mut draws)).sum()
    });
}

fn each_ordinal(name: &str, draw: impl Fn(&mut Draws) -> f64) {
    row(name, |key| (0..DRAWS).map(|ordinal| draw(&mut key.draw(ordinal))).sum());
}

fn law(name: &str, law: Law) {
    let sampler: Sampler = black_box(law.sampler());
    sequence(name, |draws| sampler.draw(draws));
}

fn main() {
    println!("{:<34} {:>6}", "variate", "ns");
    let word = |draws: &mut Draws| draws.next_u64() as f64;
    sequence("u64", word);
    each_ordinal("u64, each ordinal", word);
    sequence("exponential", exponential);
    each_ordinal("exponential, each ordinal", exponential);
    sequence("normal", standard_normal);
    law("law: exponential", Law::Exponential { mean: 2.0 });
    law("law: erlang, 3 stages", Law::Erlang { stages: 3, mean: 2.0 });
    law("law: erlang, 4 stages", Law::Erlang { stages: 4, mean: 2.0 });
    law("law: gamma, cv 0.6", Law::Gamma { mean: 2.0, cv: 0.6 });
    law("law: gamma, cv 1.5", Law::Gamma { mean: 2.0, cv: 1.5 });
    law("law: lognormal", Law::Lognormal { mean: 2.0, cv: 1.0 });
    law("law: weibull", Law::Weibull { mean: 2.0, shape: 0.7 });
    law("law: pareto", Law::Pareto { minimum: 2.0, shape: 2.5 });
    law("law: hyperexponential", Law::Hyperexponential { mean: 2.0, cv: 2.0 });
    let samples: Vec<f64> = (0..10_000_u32).map(f64::from).collect();
    law("law: empirical, 10,000 samples", Law::from_samples(&samples));
    let zipf = Popularity::Zipf { exponent: 0.9 };
    for (name, count) in [
        ("zipf, 1,000 keys", 1_000),
        ("zipf, 1,000,000 keys", 1_000_000),
        ("zipf, 100,000,000 keys", 100_000_000),
    ] {
        let keys = KeySampler::new(count, zipf);
        sequence(name, |draws| f64::from(keys.draw(draws)));
    }
    sequence("poisson, mean 5", |draws| poisson(5.0, draws) as f64);
    sequence("poisson, mean 500", |draws| poisson(500.0, draws) as f64);
}
