//! Distributions of durations and of amounts of data.

use std::marker::PhantomData;

use super::kind::Kind;
use super::measured::Empirical;
use super::shape::Item;
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Bytes, Duration, Quantity, Ratio};
pub use crate::variate::Law;

/// A distribution of a quantity: durations unless another is named.
#[derive(Clone, Debug, PartialEq)]
pub struct Dist<Q = Duration> {
    /// Its law, in seconds or bytes.
    pub law: Law,
    /// Where it stands.
    pub place: Place,
    quantity: PhantomData<Q>,
}

/// A quantity that distributions are made of.
pub trait Measure: Quantity + Shape + Clone + PartialEq + std::fmt::Debug + 'static {
    /// Its name, for the names of types in the schema.
    const NAME: &'static str;
    /// What a distribution of it is.
    const DIST: &'static str;
    /// In SI units: seconds or bytes.
    fn si(&self) -> f64;
}
impl Measure for Duration {
    const NAME: &'static str = "OfDurations";
    const DIST: &'static str = "a distribution of durations";
    fn si(&self) -> f64 {
        self.seconds()
    }
}
impl Measure for Bytes {
    const NAME: &'static str = "OfBytes";
    const DIST: &'static str = "a distribution of amounts of data";
    fn si(&self) -> f64 {
        self.0
    }
}

impl Dist {
    /// Always the same length, said at a place.
    pub fn constant(length: Duration, place: Place) -> Dist {
        Dist { law: Law::Constant(length.seconds()), place, quantity: PhantomData }
    }
}

spec! {
    /// A sum of equal exponential stages: less variable than exponential (cv = 1 / sqrt(stages)).
    table Erlang<Q> {
        /// How many stages.
        stages: u32, positive;
        /// Mean of the sum of all stages.
        mean: Q;
    }
}
spec! {
    /// A law by its mean and its coefficient of variation (standard deviation over mean).
    table MeanAndCv<Q> {
        /// Its mean.
        mean: Q, positive;
        /// Coefficient of variation: standard deviation over mean.
        cv: f64, positive;
    }
}
spec! {
    /// A lognormal law, by `mean` and `cv` or by `median` and `p99`.
    table Lognormal<Q> {
        /// Its mean (together with `cv`).
        mean: Option<Q>, positive;
        /// Coefficient of variation: standard deviation over mean (together with `mean`).
        cv: Option<f64>, positive;
        /// Half of the values are below it (together with `p99`).
        median: Option<Q>, positive;
        /// 99 of 100 values are below it (together with `median`).
        p99: Option<Q>, positive;
    }
}
spec! {
    /// A Weibull law, by its mean and its shape.
    table Weibull<Q> {
        /// Its mean.
        mean: Q, positive;
        /// Shape: below 1 a heavy tail, 1 exponential, above 1 concentrated.
        shape: f64, positive;
    }
}
spec! {
    /// A Pareto law: P(X > x) = (minimum / x)^shape.
    table Pareto<Q> {
        /// The least value.
        minimum: Q, positive;
        /// Shape, more than 1; the smaller, the heavier the tail.
        shape: f64, positive;
    }
}
spec! {
    /// One part of a mixture.
    table Part<Q> {
        /// How large a share of the values follows this part.
        share: Ratio;
        /// The distribution of these values.
        of: Dist<Q>;
    }
}
spec! {
    /// What a timer makes of a distribution when it counts in whole steps.
    table RoundedUp<Q> {
        /// What is rounded up.
        of: Dist<Q>;
        /// One step.
        to: Q, positive;
    }
}
spec! {
    /// A distribution, and so much more each time.
    table Shifted<Q> {
        /// What comes to each value: nothing is less.
        by: Q;
        /// The rest.
        of: Dist<Q>;
    }
}
spec! {
    /// The law of a distribution.
    choice Written<Q> {
        /// Memoryless, by its mean: `{ exponential = "10ms" }`.
        Exponential(Q) = "exponential";
        /// All values of an interval equally likely: `{ uniform = ["5ms", "20ms"] }`.
        Uniform((Q, Q)) = "uniform";
        /// A sum of exponential stages: `{ erlang = { stages = 2, mean = "10ms" } }`.
        Erlang(Erlang<Q>) = "erlang";
        /// A gamma law: `{ gamma = { mean = "10ms", cv = 0.5 } }`.
        Gamma(MeanAndCv<Q>) = "gamma";
        /// A lognormal law: `{ lognormal = { mean = "10ms", cv = 1 } }` or
        /// `{ lognormal = { median = "8ms", p99 = "60ms" } }`.
        Lognormal(Lognormal<Q>) = "lognormal";
        /// A Weibull law: `{ weibull = { mean = "10ms", shape = 0.7 } }`.
        Weibull(Weibull<Q>) = "weibull";
        /// A Pareto law: `{ pareto = { minimum = "2ms", shape = 2.5 } }`.
        Pareto(Pareto<Q>) = "pareto";
        /// More variable than exponential: `{ hyperexponential = { mean = "10ms", cv = 3 } }`.
        Hyperexponential(MeanAndCv<Q>) = "hyperexponential";
        /// Quantiles with straight lines between them, or a CSV of samples or quantiles:
        /// `{ empirical = [["0%", "1ms"], ["50%", "3ms"], ["100%", "20ms"]] }`, `{ empirical = { file = "times.csv" } }`.
        Empirical(Empirical<Q>) = "empirical";
        /// Several laws:
        /// `{ mixture = [{ share = "90%", of = "1ms" }, { share = "10%", of = "50ms" }] }`.
        Mixture(Vec<Part<Q>>) = "mixture";
        /// Rounded up to whole steps, as timers do that count in them (PostgreSQL's `pg_sleep`, in
        /// milliseconds): `{ rounded-up = { of = { exponential = "10ms" }, to = "1ms" } }`.
        RoundedUp(RoundedUp<Q>) = "rounded-up";
        /// So much, and another law on top of it, as ways through a network are:
        /// `{ shifted = { by = "20ms", of = { gamma = { mean = "3ms", cv = 0.8 } } } }`.
        Shifted(Shifted<Q>) = "shifted";
    }
}

impl<Q: Measure> Item for Dist<Q> {}
impl<Q: Measure> Shape for Dist<Q> {
    fn kind() -> Kind {
        Kind::Either(Box::new(Q::kind()), Box::new(Kind::Law(Written::<Q>::describe)))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let place = node.place.clone();
        let law = match node.value {
            Value::Table(_) => Written::<Q>::read(node, reader)?.law(&place, reader)?,
            _ => Law::Constant(Q::read(node, reader)?.si()),
        };
        Some(Dist { law, place, quantity: PhantomData })
    }
    /// True if it is anything but always zero.
    fn is_positive(&self) -> bool {
        self.law != Law::Constant(0.0)
    }
}

impl<Q: Measure> Written<Q> {
    /// The law in SI units, if its numbers make one.
    fn law(self, place: &Place, reader: &mut Reader) -> Option<Law> {
        match self {
            Written::Exponential(mean) => Some(Law::Exponential { mean: mean.si() }),
            Written::Uniform((low, high)) => {
                let (low, high) = (low.si(), high.si());
                if low <= high {
                    return Some(Law::Uniform { low, high });
                }
                refuse(place, reader, "starts above its end", "write the lesser value first")
            }
            Written::Erlang(erlang) => {
                Some(Law::Erlang { stages: erlang.stages, mean: erlang.mean.si() })
            }
            Written::Gamma(gamma) => Some(Law::Gamma { mean: gamma.mean.si(), cv: gamma.cv }),
            Written::Lognormal(lognormal) => lognormal.law(reader),
            Written::Weibull(weibull) => {
                Some(Law::Weibull { mean: weibull.mean.si(), shape: weibull.shape })
            }
            Written::Pareto(pareto) if pareto.shape > 1.0 => {
                Some(Law::Pareto { minimum: pareto.minimum.si(), shape: pareto.shape })
            }
            Written::Pareto(pareto) => refuse(
                &pareto.place,
                reader,
                "has no mean: its `shape` must be more than 1",
                "write for example `shape = 2.5`",
            ),
            Written::Hyperexponential(law) if law.cv >= 1.0 => {
                Some(Law::Hyperexponential { mean: law.mean.si(), cv: law.cv })
            }
            Written::Hyperexponential(law) => refuse(
                &law.place,
                reader,
                "must be at least as variable as the exponential law: `cv` from 1 up",
                "for less variability write `gamma` or `erlang`",
            ),
            Written::Empirical(measured) => measured.law(reader),
            Written::Mixture(parts) => mixture(parts, place, reader),
            Written::Shifted(shifted) => {
                Some(Law::Shifted { by: shifted.by.si(), of: Box::new(shifted.of.law) })
            }
            Written::RoundedUp(rounded) => {
                Some(Law::Rounded { of: Box::new(rounded.of.law), step: rounded.to.si() })
            }
        }
    }
}

impl<Q: Measure> Lognormal<Q> {
    fn law(self, reader: &mut Reader) -> Option<Law> {
        match (self.mean, self.cv, self.median, self.p99) {
            (Some(mean), Some(cv), None, None) => Some(Law::Lognormal { mean: mean.si(), cv }),
            (None, None, Some(median), Some(p99)) if median.si() < p99.si() => {
                Law::lognormal_from_median_and_p99(median.si(), p99.si()).ok()
            }
            (None, None, Some(_), Some(_)) => refuse(
                &self.place,
                reader,
                "has its `p99` at or below its `median`",
                "99 of 100 values are below the `p99`, half of them below the `median`",
            ),
            _ => {
                let message =
                    format!("`{}` takes `mean` and `cv`, or `median` and `p99`", reader.path());
                reader.wrong(
                    Diagnostic::error("one-of", self.place, message)
                        .help("write exactly one of the two pairs"),
                )
            }
        }
    }
}

fn refuse<T>(place: &Place, reader: &mut Reader, why: &str, help: &str) -> Option<T> {
    let message = format!("`{}` {why}", reader.path());
    reader.wrong(Diagnostic::error("out-of-range", place.clone(), message).help(help))
}

/// The law of quantiles that must rise from the least to the greatest value.
pub(super) fn rising(points: Vec<(f64, f64)>, place: &Place, reader: &mut Reader) -> Option<Law> {
    let spans = points.len() >= 2
        && points.first().is_some_and(|first| first.0 == 0.0)
        && points.last().is_some_and(|last| last.0 == 1.0);
    let rises = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    if spans && rises {
        return Some(Law::Empirical(points));
    }
    refuse(
        place,
        reader,
        "must rise from `\"0%\"` to `\"100%\"`",
        "for example `{ empirical = [[\"0%\", \"1ms\"], [\"50%\", \"3ms\"], [\"100%\", \"20ms\"]] }`",
    )
}

fn mixture<Q: Measure>(parts: Vec<Part<Q>>, place: &Place, reader: &mut Reader) -> Option<Law> {
    let sum: f64 = parts.iter().map(|part| part.share.0).sum();
    // Shares are written in decimal; their binary sum may miss 1 by rounding only.
    if (sum - 1.0).abs() < 1e-9 {
        return Some(Law::Mixture(
            parts.into_iter().map(|part| (part.share.0, part.of.law)).collect(),
        ));
    }
    let why = format!("has shares that sum to {}", Ratio(sum));
    refuse(place, reader, &why, "the shares of a mixture sum to 100 %")
}
