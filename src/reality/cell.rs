//! What was measured: deployments under load ("cells"), and the outcomes of their runs.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One deployment under one load, run several times with other seeds.
#[derive(Clone, Debug, Deserialize)]
pub struct Cell {
    /// Its name.
    pub id: String,
    /// The kind of deployment, such as `R1`.
    pub scenario: String,
    /// What the generator sent.
    pub load: Load,
    /// What served it.
    pub server: Server,
    /// The generator sends until then (s from the start).
    #[serde(rename = "T")]
    pub end_s: f64,
    /// Requests that are meant to come from then on count (s).
    #[serde(rename = "warm")]
    pub warm_s: f64,
    /// The seeds of its runs, in order.
    pub seeds: Vec<u64>,
    /// The cell whose requests were sent once more here, on another day.
    #[serde(default)]
    pub again: Option<String>,
}

/// What the generator sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Load {
    /// Whether it waits for answers.
    #[serde(flatten)]
    pub mode: Mode,
    /// Kinds of request.
    pub classes: Vec<Class>,
    /// A new connection for each request, rather than connections that stay open.
    #[serde(default)]
    pub fresh_conn: bool,
    /// How many keys there are.
    zipf_n: Option<u32>,
    /// Zipf's exponent over them.
    zipf_s: Option<f64>,
    /// How it tries again.
    pub retry: Option<Retry>,
    /// Everything else, which the map must know.
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

/// Whether the generator waits for answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Mode {
    /// It does not: a Poisson stream of piecewise constant rate.
    Open {
        /// From when on (s), and how many a second.
        segments: Vec<(f64, f64)>,
    },
    /// It does: users who think before each request.
    Closed {
        /// How many.
        users: u32,
        /// For how long on average (ms), exponential.
        think_ms: f64,
    },
}

/// A kind of request.
#[derive(Clone, Debug, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its share of all requests, in proportion to the others' weights.
    pub weight: f64,
    /// What is asked for.
    pub path: String,
    /// How long its work takes.
    #[serde(rename = "svc")]
    pub law: Law,
}

/// The law of a nominal service time (ms).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "dist")]
pub enum Law {
    /// Memoryless.
    #[serde(rename = "exp")]
    Exponential {
        /// Its mean.
        mean: f64,
    },
    /// Always the same.
    #[serde(rename = "fixed")]
    Fixed {
        /// Its value.
        mean: f64,
    },
    /// The exponential of a normal variate.
    #[serde(rename = "lognormal")]
    Lognormal {
        /// Its mean.
        mean: f64,
        /// Its coefficient of variation.
        cv: f64,
    },
}

/// How the generator tries again, whatever the failure: full jitter.
#[derive(Clone, Debug, Deserialize)]
pub struct Retry {
    /// Attempts in all.
    pub tries: u32,
    /// The first pause at most (ms).
    pub base_ms: f64,
    /// By how much each pause is longer than the one before.
    pub mult: f64,
    /// The longest pause (ms).
    pub max_ms: f64,
}

/// What served the requests: settings by name, as the measurement's own scripts know them.
#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    /// The settings of each process.
    #[serde(default)]
    pub env: BTreeMap<String, serde_json::Value>,
    /// Everything else.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

impl Load {
    /// The weights of the classes, summed up.
    pub fn cumulative_weights(&self) -> Vec<f64> {
        sums(self.classes.iter().map(|class| class.weight))
    }
    /// The weights of the keys, summed up; a single one where there are no keys.
    pub fn cumulative_popularity(&self) -> Vec<f64> {
        let exponent = self.zipf_s.unwrap_or(0.0);
        sums((1..=self.keys().unwrap_or(1)).map(|k| libm::pow(f64::from(k), -exponent)))
    }
    /// What it does beside what this program reads for itself.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, String)> {
        let read = |name: &str| ["mode", "segments", "users", "think_ms"].contains(&name);
        let unread = self.more.iter().filter(move |(name, _)| !read(name));
        unread.map(|(name, value)| (name.as_str(), text(value)))
    }
    /// How many keys there are.
    pub fn keys(&self) -> Option<u32> {
        self.zipf_n
    }
    /// Zipf's exponent over them.
    pub fn zipf_exponent(&self) -> f64 {
        self.zipf_s.unwrap_or(0.0)
    }
    /// Requests a second over the whole run, as far as the load itself says.
    pub fn mean_rate_per_s(&self, end_s: f64) -> f64 {
        match &self.mode {
            Mode::Open { segments } => {
                let ends = segments.iter().skip(1).map(|it| it.0).chain([end_s]);
                let sent = segments.iter().zip(ends).map(|(it, end)| it.1 * (end - it.0).max(0.0));
                sent.sum::<f64>() / end_s
            }
            Mode::Closed { users, think_ms } => {
                let work: f64 = self.classes.iter().map(|it| it.weight * it.law.mean_ms()).sum();
                let weights: f64 = self.classes.iter().map(|it| it.weight).sum();
                1e3 * f64::from(*users) / (think_ms + work / weights)
            }
        }
    }
    /// When the rate of an open loop falls for the last time (s): a spike ends.
    pub fn spike_ends_s(&self) -> Option<f64> {
        let Mode::Open { segments } = &self.mode else { return None };
        let falls = |pair: &&[(f64, f64)]| pair[1].1 < pair[0].1;
        segments.windows(2).rfind(falls).map(|pair| pair[1].0)
    }
    /// Requests a second at the end of an open loop.
    pub fn last_rate_per_s(&self) -> Option<f64> {
        match &self.mode {
            Mode::Open { segments } => segments.last().map(|last| last.1),
            Mode::Closed { .. } => None,
        }
    }
}

fn sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

impl Class {
    /// What is asked for, in a word: the first part of its path.
    pub fn operation(&self) -> &str {
        let path = self.path.trim_start_matches('/');
        path.split(['?', '/']).next().unwrap_or(path)
    }
}

impl Law {
    /// Its mean (ms).
    pub fn mean_ms(&self) -> f64 {
        match self {
            Law::Exponential { mean } | Law::Fixed { mean } | Law::Lognormal { mean, .. } => *mean,
        }
    }
    /// Its squared coefficient of variation.
    pub fn scv(&self) -> f64 {
        match self {
            Law::Exponential { .. } => 1.0,
            Law::Fixed { .. } => 0.0,
            Law::Lognormal { cv, .. } => cv * cv,
        }
    }
}

impl Server {
    /// A setting as a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        let of = |name: &str| self.env.get(name).or_else(|| self.more.get(name));
        let found = match name.split_once('.') {
            Some((whole, part)) => of(whole).and_then(|whole| whole.get(part)),
            None => of(name),
        };
        found.and_then(serde_json::Value::as_f64)
    }
    /// Every setting with its value as text; of a program that has settings of its own each of these
    /// too, as `program.setting`.
    pub fn settings(&self) -> impl Iterator<Item = (String, String)> {
        self.env.iter().chain(&self.more).flat_map(|(name, value)| {
            let own = value.as_object().into_iter().flatten();
            let own = own.map(move |(part, value)| (format!("{name}.{part}"), text(value)));
            let whole = if value.is_object() { String::new() } else { text(value) };
            std::iter::once((name.clone(), whole)).chain(own)
        })
    }
}

/// A setting's value as text.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            let item = |item: &serde_json::Value| item.to_string().replace('"', "");
            items.iter().map(item).collect::<Vec<String>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    /// Mean latency of answers with status 200, from the intended start (ms).
    Mean,
    /// A quantile of it (ms), in per cent.
    Quantile(u8),
    /// Answers with status 200 a second.
    Throughput,
    /// Share that waited too long for a connection.
    Timeouts,
    /// Share that a guard or a limiter turned away.
    Rejected,
    /// Share that failed otherwise (500): a server or a pooler took no connection, or closed it.
    Failed,
    /// Share that the cache had.
    Hits,
    /// Share that joined somebody else's load.
    Joined,
    /// Attempts a request.
    Attempts,
    /// Share of the pools' connections that are lent, over time.
    PoolUse,
    /// From the end of a spike to the first request that need not wait for a connection (s).
    Recovery,
}

impl Figure {
    /// All of them, in order.
    pub const ALL: [Figure; 14] = [
        Figure::Mean,
        Figure::Quantile(50),
        Figure::Quantile(90),
        Figure::Quantile(95),
        Figure::Quantile(99),
        Figure::Throughput,
        Figure::Timeouts,
        Figure::Rejected,
        Figure::Failed,
        Figure::Hits,
        Figure::Joined,
        Figure::Attempts,
        Figure::PoolUse,
        Figure::Recovery,
    ];
    /// True for shares of requests, by which a cell is judged.
    pub fn is_share_of_requests(self) -> bool {
        matches!(
            self,
            Figure::Timeouts | Figure::Rejected | Figure::Failed | Figure::Hits | Figure::Joined
        )
    }
    /// True for shares, which differ by percentage points.
    pub fn is_share(self) -> bool {
        self.is_share_of_requests() || self == Figure::PoolUse
    }
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Figure::Mean => "mean".into(),
            Figure::Quantile(level) => format!("p{level}"),
            Figure::Throughput => "ok_per_s".into(),
            Figure::Timeouts => "timeouts".into(),
            Figure::Rejected => "rejected".into(),
            Figure::Failed => "failed".into(),
            Figure::Hits => "hits".into(),
            Figure::Joined => "joined".into(),
            Figure::Attempts => "attempts".into(),
            Figure::PoolUse => "pool_use".into(),
            Figure::Recovery => "recovery_s".into(),
        }
    }
}

/// The outcome of one measured run, of one class of its requests.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of which cell.
    pub cell: String,
    /// Which run of it, from 1.
    pub run: usize,
    /// Of which class; `all` for all.
    pub class: String,
    /// Requests meant to come within the window.
    pub offered: u64,
    /// What the machine was busy with meanwhile, as it was recorded: runs that have the same were
    /// measured at the same time.
    pub meanwhile: Option<String>,
    /// Share of the machine that was busy, with whatever it was.
    pub busy: Option<f64>,
    /// Share of the machine that its hypervisor had elsewhere though it was wanted.
    pub stolen: Option<f64>,
    /// Every figure that was measured.
    pub figures: Vec<(Figure, f64)>,
}

impl Measured {
    /// The share of the machine that computed; what its hypervisor had elsewhere counts as busy.
    pub fn computing(&self) -> Option<f64> {
        let stolen = self.stolen.unwrap_or(0.0);
        self.busy.map(|busy| (busy - stolen).max(0.0))
    }
    /// A figure, if it was measured.
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        self.figures.iter().find(|(known, _)| *known == figure).map(|(_, value)| *value)
    }
}
