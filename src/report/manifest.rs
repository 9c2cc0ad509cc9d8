//! How a result came about: enough to make it again, and to see that it is the same.

use serde::{Deserialize, Serialize};

use super::folder::Content;
use super::table::TABLES;
use crate::experiment::findings::Findings;
use crate::experiment::prepare::Prepared;
use crate::result::{RESULTS_VERSION, Summary};
use crate::topology::{Assumption, DefaultInForce};

/// How a result came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the program.
    pub version: String,
    /// The version of its numbers.
    pub results_version: u32,
    /// What to type to make the result again from the same files.
    pub again: String,
    /// `run`, `compare`, `capacity`, `stress`, `sweep` or `claims`.
    pub command: String,
    /// What else was asked of the command, word by word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The topology files, as they were named.
    pub files: Vec<String>,
    /// The settings over them, `path=value`, in order.
    pub sets: Vec<String>,
    /// The wanted relative precision of means, if one was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// One for each topology file, in order.
    #[serde(rename = "model", default)]
    pub models: Vec<ModelRecord>,
    /// Every file that was read.
    #[serde(rename = "input")]
    pub inputs: Vec<InputRecord>,
    /// Every file that was written beside this one.
    #[serde(rename = "output")]
    pub outputs: Vec<OutputRecord>,
    /// What the files do not say and was assumed, in words.
    #[serde(rename = "assumption", default)]
    pub assumptions: Vec<AssumptionRecord>,
    /// Every default in force.
    #[serde(rename = "default", default)]
    pub defaults: Vec<DefaultRecord>,
    /// What the columns of the tables hold, by file.
    pub columns: std::collections::BTreeMap<String, Vec<ColumnRecord>>,
}

/// A model and its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its name in the tables.
    pub name: String,
    /// The title of the topology.
    pub title: String,
    /// The root of all random numbers.
    pub seed: u64,
    /// How many replications there are, numbered from 0.
    pub replications: u32,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Time before anything is measured (s).
    pub warmup_s: f64,
    /// Time measured in each replication (s).
    pub duration_s: f64,
    /// A digest of every request.
    pub digest: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Its path as it was read.
    pub path: String,
    /// The BLAKE3 digest of its content.
    pub blake3: String,
    /// Its content, in a file beside the manifest.
    pub content: String,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its path beside the manifest.
    pub file: String,
    /// The BLAKE3 digest of its content.
    pub blake3: String,
}

/// An assumption of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssumptionRecord {
    /// The model.
    pub model: String,
    /// The quantity.
    pub what: String,
    /// Its value.
    pub value: String,
    /// Between which values it may lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Why this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The key that carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knob: Option<String>,
}

/// A default in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefaultRecord {
    /// The model.
    pub model: String,
    /// The key that the file leaves out.
    pub path: String,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnRecord {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub meaning: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// `run`, `compare`, `capacity`, `stress`, `sweep` or `claims`.
    pub command: &'static str,
    /// What else is asked of the command, word by word.
    pub options: Vec<String>,
    /// The topology files, as they were named.
    pub files: Vec<String>,
    /// The settings over them.
    pub sets: Vec<String>,
    /// The wanted relative precision of means.
    pub precision: Option<f64>,
}

impl Request {
    /// What to type to ask for it again; threads and places of output change nothing and are left out.
    pub fn command_line(&self) -> String {
        let mut words = vec!["loadbearing".to_string(), self.command.into()];
        words.extend(self.files.iter().map(|file| quoted(file)));
        words.extend(self.options.iter().map(|option| quoted(option)));
        for set in &self.sets {
            words.extend(["--set".into(), quoted(set)]);
        }
        if let Some(precision) = self.precision {
            words.extend(["--precision".into(), format!("{}%", precision * 100.0)]);
        }
        words.join(" ")
    }
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A model with what its file leaves open.
pub struct Described<'a> {
    /// Its name in the tables.
    pub name: &'a str,
    /// What came of it.
    pub summary: &'a Summary,
    /// The defaults in force.
    pub defaults: &'a [DefaultInForce],
    /// What its author assumed.
    pub assumptions: &'a [Assumption],
}

/// The digest of a file's content.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Where the content of the so-manieth file that was read is kept.
pub fn input_path(index: usize, path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    format!("inputs/{:02}-{name}", index + 1)
}

impl Manifest {
    /// The manifest of a result: what was asked, the files read (path and text), the files written.
    pub fn new(
        request: &Request,
        models: &[Described<'_>],
        inputs: &[(String, String)],
        outputs: &[Content],
    ) -> Manifest {
        let inputs = inputs.iter().enumerate().map(|(index, (path, text))| InputRecord {
            path: path.clone(),
            blake3: digest(text.as_bytes()),
            content: input_path(index, path),
        });
        let outputs = outputs.iter().map(|content| OutputRecord {
            file: content.path.clone(),
            blake3: digest(&content.bytes),
        });
        let columns = TABLES.iter().map(|table| {
            let column = |it: &super::table::Column| ColumnRecord {
                name: it.name.into(),
                meaning: it.meaning.into(),
            };
            (table.file.to_string(), table.columns.iter().map(column).collect())
        });
        Manifest {
            version: env!("CARGO_PKG_VERSION").into(),
            results_version: RESULTS_VERSION,
            again: request.command_line(),
            command: request.command.into(),
            options: request.options.clone(),
            files: request.files.clone(),
            sets: request.sets.clone(),
            precision: request.precision,
            models: models.iter().map(model_record).collect(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            assumptions: models
                .iter()
                .flat_map(|it| assumption_records(it.name, it.assumptions))
                .collect(),
            defaults: models.iter().flat_map(|it| default_records(it.name, it.defaults)).collect(),
            columns: columns.collect(),
        }
    }

    /// Adds what an experiment's topologies leave open, and a digest of all of its runs.
    pub fn of_experiment(&mut self, prepared: &Prepared<'_>, found: &Findings) {
        let experiment = &prepared.experiment;
        self.models.push(ModelRecord {
            name: self.files.first().cloned().unwrap_or_default(),
            title: experiment.title.clone().unwrap_or_default(),
            seed: prepared.points.first().map_or(0, |point| point.seed),
            replications: found.runs as u32,
            confidence: experiment.confidence.0,
            warmup_s: 0.0,
            duration_s: 0.0,
            digest: found.digest.clone(),
        });
        for (model, assumptions) in &prepared.assumptions {
            self.assumptions.extend(assumption_records(model, assumptions));
        }
        for (model, defaults) in &prepared.defaults {
            self.defaults.extend(default_records(model, defaults));
        }
    }

    /// As TOML, with a word for whoever opens it.
    pub fn to_toml(&self) -> String {
        let head = "# How this result came about. To make it again and see that it is the same:\n\
                    #   loadbearing rerun manifest.toml\n\n";
        let body = toml::to_string(self).expect("a manifest is made of tables, texts and numbers");
        format!("{head}{body}")
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

fn model_record(model: &Described<'_>) -> ModelRecord {
    let summary = model.summary;
    ModelRecord {
        name: model.name.into(),
        title: summary.title.clone(),
        seed: summary.seed,
        replications: summary.replications.len() as u32,
        confidence: summary.confidence,
        warmup_s: summary.warmup.seconds(),
        duration_s: summary.duration.seconds(),
        digest: summary.digest_text(),
    }
}

fn assumption_records(model: &str, assumptions: &[Assumption]) -> Vec<AssumptionRecord> {
    let record = |it: &Assumption| AssumptionRecord {
        model: model.into(),
        what: it.what.clone(),
        value: it.value.clone(),
        range: it.range.clone(),
        why: it.why.clone(),
        knob: it.knob.clone(),
    };
    assumptions.iter().map(record).collect()
}

fn default_records(model: &str, defaults: &[DefaultInForce]) -> Vec<DefaultRecord> {
    let record = |it: &DefaultInForce| DefaultRecord {
        model: model.into(),
        path: it.path.clone(),
        value: it.value.into(),
        source: it.source.into(),
    };
    defaults.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_as_it_was() {
        let request = Request {
            command: "run",
            files: vec!["a b.toml".into()],
            sets: vec!["run.seed=7".into(), "title=it's".into()],
            precision: Some(0.05),
            options: vec!["--spike".into(), "3x".into()],
        };
        let inputs = [("topologies/a b.toml".to_string(), "version = 1".to_string())];
        let outputs = [Content { path: "runs.csv".into(), bytes: b"model".to_vec() }];
        let manifest = Manifest::new(&request, &[], &inputs, &outputs);
        assert_eq!(Manifest::parse(&manifest.to_toml()).as_ref(), Ok(&manifest));
        assert_eq!(manifest.inputs[0].content, "inputs/01-a b.toml");
        let again = "loadbearing run 'a b.toml' --spike 3x --set run.seed=7 --set 'title=it'\\''s' --precision 5%";
        assert_eq!(manifest.again, again);
    }
}
