//! A spike or a fault, and whether the deployment comes back: with and without retries.
//!
//! # Model
//! Four deployments meet the same users with the same work, replication by replication: the file's
//! own, calm and under stress, and both once more with every retry of the file switched off. What the
//! calm twin shows is the baseline; what differs is the stress's doing, and what differs between the
//! two arms is that of the retries. The spikes, crowds and faults that the file has of its own are
//! left out, but for the faults that are asked for, each of which comes once.
//!
//! Whether a replication recovers, and when, is told by its course ([`Band`], [`Recovery`]). A
//! deployment that stays broken when what broke it has gone is metastable (Bronson et al., HotOS
//! 2021); the share of replications that recover estimates the probability that it is not, with the
//! interval of Clopper and Pearson.

mod course;
mod recovery;

pub use course::{Course, Shown, Spread, Step};
pub use recovery::{Band, Levels, Recovery, SPAN_WINDOWS, STAYS, TOLERANCE};

use super::{NoThreads, Plan, Progress, replicate_all};
use crate::model::{Model, compile};
use crate::result::{Estimate, Fold, Summary};
use crate::run::{Ended, Outcome};
use crate::stats::{Interval, paired_difference, proportion_interval};
use crate::topology::{Dist, Harm, Spike, Topology};
use crate::units::Duration;

/// What a deployment is put under.
#[derive(Clone, Debug, PartialEq)]
pub struct Stress {
    /// What happens.
    pub what: What,
    /// When it begins, from the start of the measured time.
    pub at: Duration,
    /// How long it lasts; [`None`]: as long as the faults say, and a minute where they do not.
    pub lasts: Option<Duration>,
    /// How long the deployment is watched afterwards.
    pub watch: Duration,
}

/// What happens to a deployment.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The load is multiplied.
    Spike(f64),
    /// These faults of the file strike, once.
    Faults(Vec<String>),
}

/// How long something lasts where nobody says.
pub const LASTS: Duration = Duration::secs(60);

/// Why a topology cannot be stressed so.
#[derive(Debug)]
pub enum Failed {
    /// It makes no sense for this topology: why and what to do.
    Senseless(String),
    /// The threads cannot be started.
    NoThreads(NoThreads),
}

/// A model with what came of it.
pub struct Twin {
    /// What was run.
    pub model: Model,
    /// One for each replication.
    pub outcomes: Vec<Outcome>,
    /// All of them together.
    pub summary: Summary,
}

/// The same deployment calm and under stress.
pub struct Arm {
    /// Whether the retries of the file are in force.
    pub retries: bool,
    /// Without the stress.
    pub calm: Twin,
    /// With it.
    pub stressed: Twin,
    /// What counts as usual.
    pub band: Band,
    /// One for each replication.
    pub replications: Vec<Recovery>,
    /// The probability that a replication recovers within the time that it is watched.
    pub recovers: Interval,
    /// Time from the end of the stress to the recovery, of the replications that recover (s).
    pub time_to_recover_s: Estimate,
    /// The longest of them (s).
    pub slowest_s: Option<f64>,
    /// What is usual: means over the calm replications.
    pub baseline: Levels<Estimate>,
    /// The worst since the stress began: means over replications.
    pub peak: Levels<Estimate>,
    /// The component whose queue grows most, and how many wait there at the peak.
    pub queue: Option<(String, Estimate)>,
    /// Requests that failed and would not have without the stress, pair by pair.
    pub lost: Estimate,
    /// Attempts sent for each request, under stress.
    pub attempts_per_request: Estimate,
    /// How it went, all replications together.
    pub course: Course,
}

/// What was found.
pub struct Stressed {
    /// What was done.
    pub stress: Stress,
    /// The stress in words: `load x5`, `cache.redis stop`.
    pub words: String,
    /// With the file's retries first; then without, if it has any.
    pub arms: Vec<Arm>,
    /// What the retries do, pair by pair: with them minus without.
    pub retries: Option<OfRetries>,
}

/// What retries do, pair by pair: with them minus without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfRetries {
    /// To requests that fail because of the stress.
    pub lost: Estimate,
    /// To the time to recover, where both recover (s).
    pub time_to_recover_s: Estimate,
    /// Replications that recover only with them, and only without.
    pub only_with: usize,
    /// Replications that recover only without them.
    pub only_without: usize,
}

impl Stressed {
    /// All replications of the deployment as it is in the file come back.
    pub fn recovers(&self) -> bool {
        self.arms.first().is_some_and(|arm| arm.recovers.estimate == 1.0)
    }
}

impl Stress {
    /// Puts a deployment under stress.
    ///
    /// # Errors
    /// If this cannot happen to it, or the threads cannot be started.
    pub fn run(
        &self,
        topology: &Topology,
        threads: Option<usize>,
        progress: &dyn Progress,
    ) -> Result<Stressed, Failed> {
        let calm = compile(&self.calm(topology)?);
        let stressed = compile(&self.stressed(topology)?);
        let words = match &self.what {
            What::Spike(times) => format!("load x{times}"),
            What::Faults(_) => {
                let labels: Vec<&str> =
                    stressed.faults.iter().map(|it| it.label.as_str()).collect();
                labels.join(" + ")
            }
        };
        let mut models = vec![calm, stressed];
        if models.iter().any(has_retries) {
            let without: Vec<Model> = models.iter().cloned().map(without_retries).collect();
            models.extend(without);
        }
        let plan = Plan { threads, precision: None, progress };
        let outcomes = replicate_all(&models.iter().collect::<Vec<_>>(), &plan);
        let mut twins = models.into_iter().zip(outcomes.map_err(Failed::NoThreads)?).map(
            |(model, outcomes)| {
                let summary = Summary::new(&model, &outcomes);
                Twin { model, outcomes, summary }
            },
        );
        let mut arms = Vec::new();
        while let (Some(calm), Some(stressed)) = (twins.next(), twins.next()) {
            arms.push(self.arm(arms.is_empty(), calm, stressed));
        }
        let retries = match arms.as_slice() {
            [with, without] => Some(of_retries(with, without)),
            _ => None,
        };
        Ok(Stressed { stress: self.clone(), words, arms, retries })
    }

    /// How long it lasts at most, as far as that is known before it is run.
    fn length(&self, topology: &Topology) -> Duration {
        let What::Faults(names) = &self.what else { return self.lasts.unwrap_or(LASTS) };
        let named = topology.faults.iter().filter(|fault| names.contains(&fault.name));
        let length = |fault: &crate::topology::Fault| match (&fault.length, &fault.what) {
            _ if self.lasts.is_some() => self.lasts.unwrap_or_default(),
            (Some(law), _) => Duration::from_secs_f64(law.law.mean()),
            // As long as its product takes, which is part of what is watched.
            (None, Harm::Failover(_) | Harm::Promote | Harm::NodeLoss(_)) => Duration::ZERO,
            (None, _) => LASTS,
        };
        named.map(|fault| length(&fault.spec)).max().unwrap_or_default()
    }

    /// The deployment without the stress, and without any other.
    fn calm(&self, topology: &Topology) -> Result<Topology, Failed> {
        let mut calm = topology.clone();
        calm.faults.clear();
        calm.users.iter_mut().for_each(|users| users.spike = None);
        if let Some(arrivals) = &mut calm.arrivals {
            (arrivals.spike, arrivals.crowd) = (None, None);
        }
        calm.run.duration = self.at + self.length(topology) + self.watch;
        if calm.run.duration.0 < calm.run.window.0.saturating_mul(4 * SPAN_WINDOWS as u64) {
            return Err(Failed::Senseless(
                "fewer than twenty steps of the timeline cannot tell a recovery from luck\n  help: \
                 make `run.window` shorter, or `--watch` longer"
                    .into(),
            ));
        }
        Ok(calm)
    }

    /// The deployment under stress.
    fn stressed(&self, topology: &Topology) -> Result<Topology, Failed> {
        let mut stressed = self.calm(topology)?;
        match &self.what {
            What::Spike(times) => self.multiply(&mut stressed, *times)?,
            What::Faults(names) => {
                for name in names {
                    let fault = topology.faults.iter().find(|fault| fault.name == *name);
                    let fault = fault.ok_or_else(|| unknown_fault(name, topology))?;
                    let mut fault = fault.clone();
                    let spec = &mut fault.spec;
                    (spec.at, spec.every) = (Some(self.at), None);
                    let is_open = spec.length.is_none()
                        && !matches!(
                            spec.what,
                            Harm::Failover(_) | Harm::Promote | Harm::NodeLoss(_)
                        );
                    if let Some(length) = self.lasts.or(is_open.then_some(LASTS)) {
                        spec.length = Some(Dist::constant(length, fault.place.clone()));
                    }
                    stressed.faults.push(fault);
                }
            }
        }
        Ok(stressed)
    }

    fn multiply(&self, topology: &mut Topology, times: f64) -> Result<(), Failed> {
        let length = self.lasts.unwrap_or(LASTS);
        let spike = |place| Spike { at: self.at, length, times, place };
        if let Some(users) = &mut topology.users {
            users.spike = Some(spike(users.place.clone()));
        } else if let Some(arrivals) = &mut topology.arrivals {
            if arrivals.trace.is_some() {
                return Err(Failed::Senseless(
                    "recorded arrivals cannot be multiplied\n  help: let a fault strike \
                     (`--fault`), or give `[arrivals]` a rate"
                        .into(),
                ));
            }
            arrivals.spike = Some(spike(arrivals.place.clone()));
        } else {
            return Err(Failed::Senseless(
                "nobody ever comes: give it a population or a rate".into(),
            ));
        }
        Ok(())
    }

    fn arm(&self, retries: bool, calm: Twin, stressed: Twin) -> Arm {
        let confidence = stressed.model.plan.confidence;
        let band = Band::of(&calm.outcomes);
        let replications: Vec<Recovery> = stressed
            .outcomes
            .iter()
            .map(|outcome| Recovery::of(&band, outcome, self.begin_and_end(outcome)))
            .collect();
        let recovered = replications.iter().filter(|it| it.time_to_recover_s.is_some()).count();
        let times: Vec<Option<f64>> = replications.iter().map(|it| it.time_to_recover_s).collect();
        let mean = |values: &[Option<f64>]| Estimate::fold(values, Fold::Mean, confidence, &[]);
        let failed = |twin: &Twin| -> Vec<f64> {
            twin.outcomes.iter().map(|it| it.requests.failed_all() as f64).collect()
        };
        let sent = |outcome: &Outcome| {
            let offered = outcome.requests.offered as f64;
            (offered > 0.0).then(|| outcome.attempts.sent as f64 / offered)
        };
        let warmup = stressed.model.plan.warmup;
        Arm {
            retries,
            recovers: proportion_interval(recovered as u64, times.len() as u64, confidence)
                .expect("there is a replication"),
            time_to_recover_s: mean(&times),
            slowest_s: times.iter().copied().flatten().max_by(f64::total_cmp),
            baseline: Levels::mean(calm.outcomes.iter().map(Levels::usual), confidence),
            peak: Levels::mean(replications.iter().map(|it| it.peak.clone()), confidence),
            queue: recovery::longest_queue(&calm, &stressed, warmup + self.at),
            lost: difference(&failed(&calm), &failed(&stressed), confidence),
            attempts_per_request: mean(&stressed.outcomes.iter().map(sent).collect::<Vec<_>>()),
            course: Course::of(&calm.outcomes, &stressed.outcomes, &stressed.model),
            band,
            replications,
            calm,
            stressed,
        }
    }

    /// When the stress began and ended in a replication, from the start of the run.
    fn begin_and_end(&self, outcome: &Outcome) -> (Duration, Option<Duration>) {
        let since_start = |time: crate::units::Time| time.since(crate::units::Time::ZERO);
        let measured_from = outcome.windows.iter().find(|window| window.measured);
        let warmup = measured_from.map_or(Duration::ZERO, |window| since_start(window.start));
        let begin = warmup + self.at;
        match self.what {
            What::Spike(_) => (begin, Some(begin + self.lasts.unwrap_or(LASTS))),
            What::Faults(_) => {
                let ends = outcome.faults.iter().map(|mark| mark.until.map(since_start));
                let ends: Option<Vec<Duration>> = ends.collect();
                (begin, ends.map(|ends| ends.into_iter().max().unwrap_or(begin)))
            }
        }
    }
}

fn unknown_fault(name: &str, topology: &Topology) -> Failed {
    let names: Vec<&str> = topology.faults.iter().map(|fault| fault.name.as_str()).collect();
    let known = match names.as_slice() {
        [] => "it has none".to_string(),
        names => format!("it has `{}`", names.join("`, `")),
    };
    Failed::Senseless(format!(
        "the file has no fault `{name}`; {known}\n  help: write `[fault.{name}]` in the file, or say \
         what fails, as `--fault 'cache.redis stop for=30s'`"
    ))
}

/// Something in a model tries again.
pub fn has_retries(model: &Model) -> bool {
    let tries = |rule: &crate::model::Retry| rule.attempts > 1;
    model.client.retry.as_ref().is_some_and(tries)
        || model.client.reload.is_some()
        || model.retries.iter().any(|call| tries(&call.rule))
}

/// A model in which no failed request or call is tried again, and nobody reloads. Deliveries of jobs
/// stay: a queue that forgets its jobs is another product.
fn without_retries(mut model: Model) -> Model {
    model.client.reload = None;
    let calls = model.retries.iter_mut().map(|call| &mut call.rule);
    for rule in model.client.retry.iter_mut().chain(calls) {
        rule.attempts = 1;
    }
    model
}

fn difference(before: &[f64], after: &[f64], confidence: f64) -> Estimate {
    match paired_difference(before, after, confidence) {
        Some(it) => {
            Estimate { estimate: Some(it.estimate), low: Some(it.low), high: Some(it.high) }
        }
        None => match (before.first(), after.first()) {
            (Some(before), Some(after)) => Estimate::exact(after - before),
            _ => Estimate::default(),
        },
    }
}

fn of_retries(with: &Arm, without: &Arm) -> OfRetries {
    let confidence = with.stressed.model.plan.confidence;
    let lost = |arm: &Arm| -> Vec<f64> {
        let pairs = arm.calm.outcomes.iter().zip(&arm.stressed.outcomes);
        let failed = |outcome: &Outcome| outcome.requests.failed_all() as f64;
        pairs.map(|(calm, stressed)| failed(stressed) - failed(calm)).collect()
    };
    let times = |arm: &Arm| -> Vec<Option<f64>> {
        arm.replications.iter().map(|it| it.time_to_recover_s).collect()
    };
    let pairs: Vec<(Option<f64>, Option<f64>)> =
        times(without).into_iter().zip(times(with)).collect();
    let both = pairs.iter().filter_map(|(without, with)| (*without).zip(*with));
    let (before, after): (Vec<f64>, Vec<f64>) = both.unzip();
    OfRetries {
        lost: difference(&lost(without), &lost(with), confidence),
        time_to_recover_s: difference(&before, &after, confidence),
        only_with: pairs.iter().filter(|it| it.0.is_none() && it.1.is_some()).count(),
        only_without: pairs.iter().filter(|it| it.0.is_some() && it.1.is_none()).count(),
    }
}

/// A replication that a limit cut short has not recovered, whatever it looked like.
fn is_whole(outcome: &Outcome) -> bool {
    outcome.ended == Ended::Completed
}
