//! How a measured deployment is said in the language: which topology, and what is set in it.

use serde::Deserialize;

use super::cell::{Cell, Mode};
use super::store::Around;

/// The map from the settings of measured servers to topologies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Topologies, the first whose needs are met is taken.
    topology: Vec<Choice>,
    /// What each setting means.
    set: Vec<Meaning>,
    /// Times of other days than the topologies'.
    #[serde(default)]
    times: Vec<Times>,
    /// Why cells are missed.
    #[serde(default)]
    note: Vec<Note>,
    /// Why, and which, cells were measured again.
    #[serde(default)]
    pub again: String,
    /// Set in every topology.
    #[serde(default)]
    always: Vec<String>,
    /// What computes on the machine beside the servers of a cell.
    beside: Option<Beside>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    /// Cores of the machine.
    cores: f64,
    /// CPU time for each request of the cell itself (ms).
    own_ms: f64,
    /// CPU time for each request of a deployment beside it (ms), where its loops never rest.
    neighbour_ms: f64,
    /// What it takes more where a process has 100 requests a second (ms); it falls with the root of
    /// their rate.
    #[serde(default)]
    resting_ms: f64,
    /// In how many pieces generator and database compute that.
    #[serde(default = "one")]
    own_pieces: f64,
    /// In how many pieces a neighbour's servers compute theirs.
    #[serde(default = "one")]
    server_pieces: f64,
    /// What is set: `{rate}` stands for requests a second, the cell's own and its neighbours'; `{cpu}`
    /// for what is computed for each (us), beside the cell's own server. Of that `{own}` is for each
    /// piece that generator and database compute (us), `{own_rate}` of them a second; `{theirs}` and
    /// `{their_rate}` say the same of the neighbours' servers; `{foreign}`
    /// for the pieces a second of programs that have nothing to do with any of them.
    sets: Vec<String>,
    /// How long such pieces of foreign programs are (ms).
    #[serde(default)]
    foreign_ms: f64,
    /// What is set where the hypervisor took cores: `{stolen}` stands for the share in per cent.
    #[serde(default)]
    stolen: Vec<String>,
    /// The share that was stolen while the topologies' times were measured, and is contained in them.
    #[serde(default)]
    contained: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    /// Of the cells whose names begin so.
    cells: String,
    /// Of those with such a server only.
    kind: Option<String>,
    /// And with these settings.
    #[serde(default)]
    needs: Vec<String>,
    /// What the stack took in isolation on their day.
    sets: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// Of the cells whose names begin so.
    cells: String,
    /// Why their predictions miss.
    why: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    /// Its path, from the map's folder.
    file: String,
    /// The settings that a cell must have for it.
    #[serde(default)]
    needs: Vec<String>,
    /// The kind of server that a cell must have for it.
    kind: String,
    /// CPU time for each request where it is the neighbour of another cell (ms), if it differs.
    neighbour_ms: Option<f64>,
    /// What computes for each of its requests beside its service and that of every cell (ms).
    #[serde(default)]
    more_ms: f64,
    /// Whether a run of it had as many neighbours as were recorded beside any run of its cell, as far as
    /// the machine can have been busy with them: deployments that always ran together.
    #[serde(default)]
    together: bool,
    /// What is set for what there is beside it, if it differs.
    beside: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meaning {
    /// Of which setting.
    name: String,
    /// Of which value of it; nothing for any. `{name}` in it stands for a word of the value.
    is: Option<String>,
    /// What is set: `{}` stands for the value, `{%}` for it as a percentage, `{other}` for another
    /// setting's value or a word of this one, `{word-100}` for a number less another.
    sets: Vec<String>,
}

impl Map {
    /// Reads a map.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn read(text: &str) -> Result<Map, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The file of the topology that stands for a cell.
    ///
    /// # Errors
    /// In words, if none does.
    pub fn file(&self, cell: &Cell) -> Result<&str, String> {
        let found = self.choice(cell).map(|choice| choice.file.as_str());
        found.ok_or_else(|| format!("{}: the map has no topology for it", cell.id))
    }

    fn choice(&self, cell: &Cell) -> Option<&Choice> {
        let settings = settings(cell);
        self.topology.iter().find(|it| fits(&settings, Some(&it.kind), &it.needs))
    }

    /// What is set for the day of a cell.
    fn times(&self, cell: &Cell) -> impl Iterator<Item = &String> {
        let settings = settings(cell);
        let its = move |it: &&Times| {
            cell.id.starts_with(&it.cells) && fits(&settings, it.kind.as_ref(), &it.needs)
        };
        self.times.iter().filter(its).flat_map(|it| &it.sets)
    }

    /// Whether a cell has times of its own day.
    pub fn has_times(&self, cell: &Cell) -> bool {
        self.times(cell).next().is_some()
    }

    /// From now on every cell has the times of its topology, whatever its day was.
    pub fn forget_times(&mut self) {
        self.times.clear();
    }

    /// CPU time that a request of a cell takes where it is another's neighbour (s).
    pub fn neighbour_s(&self, cell: &Cell) -> f64 {
        let Some(beside) = &self.beside else { return 0.0 };
        let choice = self.choice(cell);
        let own = choice.and_then(|choice| choice.neighbour_ms);
        let more = choice.map_or(0.0, |choice| choice.more_ms);
        let count = |name: &str| cell.server.number(name).unwrap_or(1.0).max(1.0);
        let each_per_s = cell.load.mean_rate_per_s(cell.end_s) / count("procs") / count("workers");
        let rests = beside.resting_ms * libm::sqrt(100.0 / each_per_s.max(1.0));
        1e-3 * own.unwrap_or(beside.neighbour_ms + rests + more)
    }

    /// Cores that were busy with programs that have nothing to do with a cell or its neighbours, and
    /// that the machine had left for them.
    pub fn foreign(&self, busy: f64, cell: &Cell, around: Around) -> f64 {
        let Some(beside) = &self.beside else { return 0.0 };
        (self.room(busy, cell) - around.busy).clamp(0.0, beside.cores)
    }

    /// Whether a run of the cell had as many neighbours as were recorded beside any of its runs.
    pub fn together(&self, cell: &Cell) -> bool {
        self.choice(cell).is_some_and(|choice| choice.together)
    }

    /// Cores that can have been busy with neighbours, where the machine was so busy in all during a run
    /// of a cell.
    pub fn room(&self, busy: f64, cell: &Cell) -> f64 {
        let Some(beside) = &self.beside else { return 0.0 };
        let own_per_s = cell.load.mean_rate_per_s(cell.end_s);
        (busy * beside.cores - own_per_s * self.neighbour_s(cell)).max(0.0)
    }

    /// From now on this is set in every topology, after what its cell says.
    pub fn always(&mut self, set: &str) {
        self.always.push(set.into());
    }

    /// What is set for what there is beside the servers of a cell.
    pub fn beside(&self, cell: &Cell, around: Around) -> Vec<String> {
        let Some(beside) = &self.beside else { return Vec::new() };
        let own_per_s = cell.load.mean_rate_per_s(cell.end_s);
        let more_ms = self.choice(cell).map_or(0.0, |choice| choice.more_ms);
        let rate = own_per_s + around.per_s;
        // Generator and database take as much for a neighbour's request as for one of the cell's own.
        let busy = 1e-3 * own_per_s * (beside.own_ms + more_ms) + around.busy;
        let servers = own_per_s * more_ms + 1e3 * around.busy - around.per_s * beside.own_ms;
        let stolen = (around.stolen - beside.contained).max(0.0);
        let foreign =
            if beside.foreign_ms > 0.0 { around.foreign / beside.foreign_ms } else { 0.0 };
        let known = [
            ("rate".to_string(), format!("{rate:.3}")),
            ("cpu".to_string(), format!("{:.3}", 1e6 * busy / rate)),
            ("own_rate".to_string(), format!("{:.3}", rate * beside.own_pieces)),
            ("own".to_string(), format!("{:.3}", 1e3 * beside.own_ms / beside.own_pieces)),
            ("their_rate".to_string(), format!("{:.3}", rate * beside.server_pieces)),
            (
                "theirs".to_string(),
                format!("{:.3}", (1e3 * servers / rate / beside.server_pieces).max(0.001)),
            ),
            ("foreign".to_string(), format!("{:.3}", 1e3 * foreign)),
            ("stolen".to_string(), format!("{:.4}", 100.0 * stolen)),
        ];
        let stolen = beside.stolen.iter().filter(|_| stolen > 0.0);
        let sets = self.choice(cell).and_then(|choice| choice.beside.as_ref());
        let sets = sets.unwrap_or(&beside.sets);
        sets.iter().chain(stolen).map(|set| filled(set, "", &known)).collect()
    }

    /// What is known of why a cell is missed.
    pub fn notes<'a>(&'a self, cell: &'a str) -> impl Iterator<Item = &'a str> {
        let about = move |note: &&Note| cell.starts_with(&note.cells);
        self.note.iter().filter(about).map(|note| note.why.as_str())
    }

    /// What is set in the topology of a cell.
    ///
    /// # Errors
    /// In words, if the map does not know a setting.
    pub fn sets(&self, cell: &Cell) -> Result<Vec<String>, String> {
        let settings = settings(cell);
        let mut sets: Vec<String> = self.times(cell).cloned().collect();
        for (name, value) in &settings {
            let found = self.set.iter().filter(|meaning| meaning.name == *name).find_map(|it| {
                let words = it.is.as_ref().map_or(Some(Vec::new()), |is| words(is, value))?;
                Some((it, words))
            });
            let (meaning, words) = found.ok_or_else(|| {
                format!("{}: the map does not say what `{name}` = `{value}` means", cell.id)
            })?;
            let known: Vec<(String, String)> = words.into_iter().chain(settings.clone()).collect();
            sets.extend(meaning.sets.iter().map(|set| filled(set, value, &known)));
        }
        sets.extend(self.always.iter().cloned());
        Ok(sets)
    }
}

/// Whether a cell's server is of that kind, if one is asked for, and has all of those settings.
fn fits(settings: &[(String, String)], kind: Option<&String>, needs: &[String]) -> bool {
    let is = |kind: &String| settings.iter().any(|(name, value)| name == "kind" && value == kind);
    let has = |need: &String| settings.iter().any(|(name, _)| name == need);
    kind.is_none_or(is) && needs.iter().all(has)
}

/// Every setting of a cell with its value.
fn settings(cell: &Cell) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = cell.server.settings().collect();
    for class in &cell.load.classes {
        let path = format!("/{}", class.operation());
        if !all.iter().any(|(name, _)| *name == path) {
            all.push((path, class.law.mean_ms().to_string()));
        }
    }
    for (name, value) in cell.load.unknown() {
        all.push((name.into(), value));
    }
    if cell.load.fresh_conn {
        all.push(("fresh_conn".into(), "true".into()));
    }
    if let Some(keys) = cell.load.keys() {
        all.push(("zipf_n".into(), keys.to_string()));
        all.push(("zipf_s".into(), cell.load.zipf_exponent().to_string()));
    }
    if let Some(retry) = &cell.load.retry {
        all.push(("retry".into(), retry.tries.to_string()));
        all.push(("retry.base_ms".into(), retry.base_ms.to_string()));
        all.push(("retry.max_ms".into(), retry.max_ms.to_string()));
        all.push(("retry.mult".into(), retry.mult.to_string()));
    }
    if let Mode::Closed { .. } = cell.load.mode {
        all.push(("closed".into(), "true".into()));
    }
    all
}

/// The words of a value by the names that a pattern gives them; nothing if it does not fit.
fn words(pattern: &str, value: &str) -> Option<Vec<(String, String)>> {
    let mut words = Vec::new();
    let (mut pattern, mut value) = (pattern, value);
    while let Some((before, name, after)) = named(pattern) {
        value = value.strip_prefix(before)?;
        let end = match after.chars().next() {
            Some(next) => value.find(next)?,
            None => value.len(),
        };
        let (word, rest) = value.split_at(end);
        if word.is_empty() || word.contains(' ') {
            return None;
        }
        words.push((name.into(), word.into()));
        (pattern, value) = (after, rest);
    }
    (pattern == value).then_some(words)
}

/// What stands before the first `{name}` of a text, the name, and what stands behind it.
fn named(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// A template with its values.
fn filled(template: &str, value: &str, settings: &[(String, String)]) -> String {
    let share = value.parse().map_or(0.0, |value: f64| 100.0 * value);
    let mut text = template.replace("{}", value).replace("{%}", &format!("{share}%"));
    for (name, other) in settings {
        text = text.replace(&format!("{{{name}}}"), other);
        let less = format!("{{{name}-");
        while let Some((before, rest)) = text.split_once(&less) {
            let Some((number, after)) = rest.split_once('}') else { break };
            let of = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            text = format!("{before}{}{after}", of(other) - of(number));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        let text = r#"{"id": "X-1", "scenario": "X", "T": 3, "warm": 1, "seeds": [1],
            "load": {"mode": "open", "segments": [[0, 2.5]],
                     "classes": [{"name": "a", "weight": 1, "path": "/db?ms={ms}",
                                  "svc": {"dist": "exp", "mean": 40, "cv": 0}}]},
            "server": {"kind": "node", "env": {"PG_MAX": 3, "GUARD": 0.85}}}"#;
        serde_json::from_str(text).expect("a cell")
    }

    const MAP: &str = r#"
        [[topology]]
        file = "other.toml"
        kind = "node"
        needs = ["redis"]
        [[topology]]
        file = "pool.toml"
        kind = "node"
        [[set]]
        name = "PG_MAX"
        sets = ["pool.pg.size={}"]
        [[set]]
        name = "GUARD"
        sets = ["guard.g.reject_at={%}"]
        [[set]]
        name = "kind"
        is = "node"
        sets = []
        [[set]]
        name = "/db"
        sets = ["x={}ms", "y={PG_MAX}"]
    "#;

    #[test]
    fn settings_become_what_the_map_says() {
        let map = Map::read(MAP).expect("a map");
        let mut cell = cell();
        assert_eq!(map.file(&cell), Ok("pool.toml"));
        let sets = map.sets(&cell).expect("all known");
        assert_eq!(
            sets,
            ["guard.g.reject_at=85%", "pool.pg.size=3", "x=40ms", "y=3"].map(String::from)
        );
        cell.server.env.insert("NEW".into(), 1.into());
        assert!(map.sets(&cell).expect_err("unknown").contains("`NEW` = `1`"));
    }

    #[test]
    fn a_day_has_times_of_its_own_before_a_cells_settings() {
        let day = |cells: &str, kind: &str, needs: &str| {
            let text = format!(
                "{MAP}\n[[times]]\ncells = \"{cells}\"\nkind = \"{kind}\"\nneeds = [{needs}]\n\
                 sets = [\"x=1ms\", \"rtt=2ms\"]"
            );
            Map::read(&text).expect("a map")
        };
        let cell = cell();
        let mut own = day("X-", "node", "\"GUARD\"");
        assert!(own.has_times(&cell));
        // What the cell itself says comes later and stands.
        assert_eq!(
            own.sets(&cell).expect("all known")[..2],
            ["x=1ms", "rtt=2ms"].map(String::from)
        );
        assert!(own.sets(&cell).expect("all known").contains(&"x=40ms".to_string()));
        own.forget_times();
        assert_eq!(own.sets(&cell), Map::read(MAP).expect("a map").sets(&cell));
        for other in
            [day("Y-", "node", ""), day("X-", "fastapi", ""), day("X-", "node", "\"redis\"")]
        {
            assert!(!other.has_times(&cell));
        }
    }

    #[test]
    fn words_of_a_value_can_be_used_and_reckoned_with() {
        let pattern = "--maxmemory {bytes} --maxmemory-policy {policy}";
        let value = "--maxmemory 5140000 --maxmemory-policy allkeys-lru";
        let found = words(pattern, value).expect("it fits");
        assert_eq!(filled("m={bytes-140000}B", value, &found), "m=5000000B");
        assert_eq!(filled("p={policy}", value, &found), "p=allkeys-lru");
        assert_eq!(words(pattern, "--maxmemory 1"), None);
        assert_eq!(words("least_conn;", "least_conn;"), Some(Vec::new()));
        assert_eq!(words("least_conn;", "random;"), None);
        // A word has no spaces: options that the pattern does not name are not swallowed.
        assert_eq!(words("--save {a}", "--save 60 --appendonly yes"), None);
    }
}
