//! Several texts to one tree: `extends`, `remove` and `--set`.
//!
//! Tables merge key by key; lists and single values are replaced, except that the top-level lists
//! of
//! tables (`[[assume]]`) add up. Where a value is one of several (a distribution, a
//! policy), naming another one replaces it whole.

use super::file::Topology;
use super::kind::Kind;
use super::spec::Shape;
use super::tree::{Key, Node, Value, parse};
use crate::diagnostic::{Diagnostic, Place, Source, SourceId, did_you_mean};

/// How a file asks for the text of another: by path, giving the text or why there is none.
pub type ReadText<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// The slug of a file on the command line that is not there: no text, so no place in it.
pub(crate) const UNREADABLE: &str = "unreadable";

/// One tree made of several texts.
pub(crate) struct Gathered {
    pub(crate) tree: Option<Node>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) sources: Vec<Source>,
}

/// Reads a file, all that it builds on, and the settings; `None` if a text could not be understood.
pub(crate) fn gather(path: &str, sets: &[String], read: ReadText<'_>) -> Gathered {
    let mut gatherer =
        Gatherer { read, sources: Vec::new(), diagnostics: Vec::new(), open: Vec::new() };
    let mut tree = gatherer.file(path, None);
    for text in sets {
        let over = gatherer.set(text);
        tree = match (tree, over) {
            (Some(tree), Some(over)) => Some(gatherer.apply_set(tree, over)),
            (tree, _) => tree,
        };
    }
    let broken = ["syntax", "duplicate", "extends-missing", UNREADABLE, "extends-cycle"];
    if gatherer.diagnostics.iter().any(|diagnostic| broken.contains(&diagnostic.slug)) {
        // What was understood of a broken text would only give false alarms.
        tree = None;
    }
    Gathered { tree, diagnostics: gatherer.diagnostics, sources: gatherer.sources }
}

struct Gatherer<'a> {
    read: ReadText<'a>,
    sources: Vec<Source>,
    diagnostics: Vec<Diagnostic>,
    /// The files being read, each wanted by the one before.
    open: Vec<String>,
}

impl Gatherer<'_> {
    fn source(&mut self, name: &str, text: String) -> SourceId {
        self.sources.push(Source { name: name.into(), text });
        SourceId(self.sources.len() as u32 - 1)
    }

    fn file(&mut self, path: &str, wanted_at: Option<&Place>) -> Option<Node> {
        if let (Some(place), true) = (wanted_at, self.open.iter().any(|open| open == path)) {
            let chain = [self.open.as_slice(), &[path.to_string()]].concat().join("` → `");
            self.diagnostics.push(
                Diagnostic::error(
                    "extends-cycle",
                    place.clone(),
                    format!("these files build on one another without end: `{chain}`"),
                )
                .help("let the file that stands for itself extend nothing"),
            );
            return None;
        }
        let text = match (self.read)(path) {
            Ok(text) => text,
            Err(why) => {
                let place = wanted_at.cloned().unwrap_or_else(|| Place {
                    source: self.source(path, String::new()),
                    span: 0..0,
                });
                let message = format!("`{path}` cannot be read: {why}");
                let help = match wanted_at {
                    Some(_) => {
                        "paths in `extends` start from the folder of the file that says them"
                    }
                    None => "paths on the command line start from the folder that you are in",
                };
                let slug = if wanted_at.is_some() { "extends-missing" } else { UNREADABLE };
                self.diagnostics.push(Diagnostic::error(slug, place, message).help(help));
                return None;
            }
        };
        let id = self.source(path, text);
        let (node, faults) = parse(&self.sources[id.0 as usize].text, id);
        self.diagnostics.extend(faults);
        self.open.push(path.to_string());
        let base = self.bases(path, &node);
        self.open.pop();
        Some(match base {
            Some(base) => {
                let base = self.without_removed(base, &node);
                merge(base, node, &Topology::kind(), Depth::Top)
            }
            None => self.without_removed_alone(node),
        })
    }

    /// All files that one builds on, merged in their order.
    fn bases(&mut self, path: &str, node: &Node) -> Option<Node> {
        let mut whole: Option<Node> = None;
        for (name, place) in texts(node.entry("extends")) {
            let Some(mut base) = self.file(&beside(path, &name), Some(&place)) else { continue };
            if let Value::Table(entries) = &mut base.value {
                entries.retain(|(key, _)| !matches!(key.name.as_str(), "extends" | "remove"));
            }
            whole = Some(match whole {
                Some(earlier) => merge(earlier, base, &Topology::kind(), Depth::Top),
                None => base,
            });
        }
        whole
    }

    fn without_removed(&mut self, mut base: Node, node: &Node) -> Node {
        for (path, place) in texts(node.entry("remove")) {
            if let Err((missing, around)) = remove(&mut base, &path) {
                let help = did_you_mean(&missing, around.iter().map(String::as_str))
                    .unwrap_or_else(|| listing("there is", &around));
                let message = format!("`{path}` cannot be removed: there is no `{missing}`");
                self.diagnostics.push(Diagnostic::error("unknown-path", place, message).help(help));
            }
        }
        base
    }

    /// `remove` in a file that builds on nothing.
    fn without_removed_alone(&mut self, node: Node) -> Node {
        if node.entry("extends").is_none() {
            for (path, place) in texts(node.entry("remove")) {
                let message = format!("`{path}` cannot be removed: this file extends no other");
                self.diagnostics.push(
                    Diagnostic::error("unknown-path", place, message)
                        .help("`remove` leaves out what `extends` brings in"),
                );
            }
        }
        node
    }

    /// `path=value` as a tree; a value that is not TOML is a text.
    fn set(&mut self, text: &str) -> Option<Node> {
        let id = self.source("--set", text.to_string());
        let whole = Place { source: id, span: 0..text.len() };
        let (node, faults) = parse(text, id);
        let keys = |node: &Node| node.entries().is_some_and(|entries| entries.len() == 1);
        if faults.is_empty() && keys(&node) {
            return Some(node);
        }
        let parts = text.split_once('=').map(|(path, value)| (path, value.trim()));
        if let Some((path, value)) = parts.filter(|(_, value)| !value.is_empty()) {
            // The path keeps its place: it is parsed with another value behind it.
            let (mut node, faults) = parse(&format!("{path}= 0"), id);
            if faults.is_empty() && keys(&node) {
                let start = text.trim_end().len() - value.len();
                let place = Place { source: id, span: start..start + value.len() };
                set_leaf(&mut node, Node { value: Value::String(value.into()), place });
                return Some(node);
            }
        }
        self.diagnostics.push(
            Diagnostic::error("bad-set", whole, format!("`{text}` sets nothing"))
                .help("write a path and a value: `--set pool.pg.size=50`"),
        );
        None
    }

    fn apply_set(&mut self, tree: Node, over: Node) -> Node {
        if let Err(diagnostic) = settable(&tree, &over, &Topology::kind(), "") {
            self.diagnostics.push(diagnostic);
            return tree;
        }
        merge(tree, over, &Topology::kind(), Depth::Set)
    }
}

/// Replaces the one value that a setting sets.
fn set_leaf(node: &mut Node, value: Node) {
    match &mut node.value {
        Value::Table(entries) => {
            if let Some((_, inner)) = entries.first_mut() {
                set_leaf(inner, value);
            }
        }
        _ => *node = value,
    }
}

/// The texts of a list, or the single text; anything else is said by the decoder.
fn texts(node: Option<&Node>) -> Vec<(String, Place)> {
    let one = |node: &Node| node.text().map(|text| (text.to_string(), node.place.clone()));
    match node.map(|node| &node.value) {
        Some(Value::Array(items)) => items.iter().filter_map(one).collect(),
        _ => node.and_then(one).into_iter().collect(),
    }
}

/// A path that starts from the folder of another file.
pub(crate) fn beside(file: &str, name: &str) -> String {
    let Some((folder, _)) = file.rsplit_once('/').filter(|_| !name.starts_with('/')) else {
        return name.to_string();
    };
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Takes an entry out; otherwise the name that does not exist, and those that do beside it.
fn remove(node: &mut Node, path: &str) -> Result<(), (String, Vec<String>)> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Value::Table(entries) = &mut node.value else {
        return Err((name.into(), Vec::new()));
    };
    let Some(index) = entries.iter().position(|(key, _)| key.name == name) else {
        return Err((name.into(), entries.iter().map(|(key, _)| key.name.clone()).collect()));
    };
    match rest {
        Some(rest) => remove(&mut entries[index].1, rest),
        None => {
            entries.remove(index);
            Ok(())
        }
    }
}

/// Whether all components and list entries on a setting's path exist.
fn settable(tree: &Node, over: &Node, kind: &Kind, path: &str) -> Result<(), Diagnostic> {
    let Some(entries) = over.entries() else { return Ok(()) };
    for (key, inner_over) in entries {
        let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
        let unknown = |what: String, names: Vec<String>| {
            let guess = did_you_mean(&key.name, names.iter().map(String::as_str));
            let help = guess
                .filter(|_| !matches!(tree.value, Value::Array(_)))
                .unwrap_or_else(|| listing("there is", &names));
            Err(Diagnostic::error("unknown-path", key.place.clone(), what).help(help))
        };
        let known: Vec<String> = match &tree.value {
            Value::Table(entries) => entries.iter().map(|(key, _)| key.name.clone()).collect(),
            Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        };
        let in_list = matches!(tree.value, Value::Array(_));
        // What happens to a deployment is no part of it: a whole fault, deploy or monitor may be added.
        let happens = |section: &str, key_of_whole: &str| {
            path.strip_prefix(section) == Some(&key.name)
                && inner_over.entry(key_of_whole).is_some()
        };
        if happens("fault.", "target")
            || happens("deploy.", "service")
            || happens("monitor.", "shows")
        {
            continue;
        }
        if (matches!(kind, Kind::Named(_)) || in_list) && !known.contains(&key.name) {
            return unknown(format!("`{path}` does not exist, so nothing in it can be set"), known);
        }
        let Some(inner_kind) = inner(kind, &key.name) else { return Ok(()) };
        let absent = Node::empty(key.place.clone());
        settable(tree.entry(&key.name).unwrap_or(&absent), inner_over, &inner_kind, &path)?;
    }
    Ok(())
}

fn listing(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "there is none at all".into();
    }
    format!("{what}: {}", names.join(", "))
}

/// The kind of what stands under a key.
pub(crate) fn inner(kind: &Kind, key: &str) -> Option<Kind> {
    match kind {
        Kind::Table(describe) => {
            describe().fields.into_iter().find(|field| field.key == key).map(|field| field.kind)
        }
        Kind::Choice(describe) | Kind::Law(describe) => describe()
            .variants
            .into_iter()
            .find(|variant| variant.name == key)
            .and_then(|variant| variant.payload),
        Kind::Named(inner) => Some((**inner).clone()),
        Kind::List(inner) if key.parse::<usize>().is_ok() => Some((**inner).clone()),
        Kind::Pair(first, second) => match key {
            "0" => Some((**first).clone()),
            "1" => Some((**second).clone()),
            _ => None,
        },
        Kind::Either(short, full) => inner(full, key).or_else(|| inner(short, key)),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    /// The whole file.
    Top,
    /// Within a table of the file.
    Within,
    /// A setting, at any depth: it changes single entries of lists.
    Set,
}

/// What `over` says where it says something, and `base` elsewhere.
fn merge(base: Node, over: Node, kind: &Kind, depth: Depth) -> Node {
    let base = unfolded(base, &over, kind);
    let place = if depth == Depth::Set { base.place.clone() } else { over.place.clone() };
    let value = match (base.value, over.value) {
        (Value::Table(base), Value::Table(over)) if mixes(&base, &over, kind) => {
            Value::Table(merge_entries(base, over, kind, depth))
        }
        (Value::Array(mut items), Value::Table(over)) if depth == Depth::Set => {
            for (key, node) in over {
                // Indices were checked by `settable`.
                let index: usize = key.name.parse().unwrap_or(usize::MAX);
                if index < items.len() {
                    let kind = inner(kind, &key.name).unwrap_or(Kind::Text);
                    let item = items[index].clone();
                    items[index] = merge(item, node, &kind, depth);
                }
            }
            Value::Array(items)
        }
        (_, value) => return Node { value, place: over.place },
    };
    Node { value, place }
}

fn merge_entries(
    mut base: Vec<(Key, Node)>,
    over: Vec<(Key, Node)>,
    kind: &Kind,
    depth: Depth,
) -> Vec<(Key, Node)> {
    let deeper = if depth == Depth::Set { Depth::Set } else { Depth::Within };
    for (key, node) in over {
        let Some(index) = base.iter().position(|(known, _)| known.name == key.name) else {
            base.push((key, node));
            continue;
        };
        let inner_kind = inner(kind, &key.name).unwrap_or(Kind::Text);
        let old = base[index].1.clone();
        let adds = depth == Depth::Top
            && matches!(&inner_kind, Kind::List(item) if matches!(**item, Kind::Table(_)));
        let new = match (old.value, node.value) {
            (Value::Array(mut items), Value::Array(more)) if adds => {
                items.extend(more);
                Node { value: Value::Array(items), place: node.place }
            }
            (old_value, value) => merge(
                Node { value: old_value, place: old.place },
                Node { value, place: node.place },
                &inner_kind,
                deeper,
            ),
        };
        base[index] = (if depth == Depth::Set { base[index].0.clone() } else { key }, new);
    }
    base
}

/// Whether two tables of a kind merge, rather than the later replacing the earlier.
fn mixes(base: &[(Key, Node)], over: &[(Key, Node)], kind: &Kind) -> bool {
    let same = || match (base, over) {
        ([(base, _)], [(over, _)]) => base.name == over.name,
        _ => false,
    };
    match kind {
        Kind::Choice(_) => same(),
        // The parameters of a law go together: another set of them is another law.
        Kind::Law(_) => {
            same()
                && match (base[0].1.entries(), over[0].1.entries()) {
                    (Some(base), Some(over)) => over
                        .iter()
                        .all(|(key, _)| base.iter().any(|(known, _)| known.name == key.name)),
                    _ => true,
                }
        }
        Kind::Either(_, full) => mixes(base, over, full),
        _ => true,
    }
}

/// A short form spelled out, where a key of the full form is about to be added to it.
fn unfolded(base: Node, over: &Node, kind: &Kind) -> Node {
    let Kind::Either(_, full) = kind else { return base };
    let Kind::Table(describe) = **full else { return base };
    let doc = describe();
    let known = |node: &Node| {
        node.entries().is_some_and(|entries| {
            entries.iter().any(|(key, _)| doc.fields.iter().any(|field| field.key == key.name))
        })
    };
    match doc.shorthand {
        Some(short) if known(over) && !known(&base) => {
            let place = base.place.clone();
            let key = Key { name: short.into(), place: place.clone() };
            Node { value: Value::Table(vec![(key, base)]), place }
        }
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
version = 1
objectives = ["errors < 1%", "latency_p95 < 1s"]
[users]
population = 100
think = "10s"
[service.web]
instances = 1
[cache.redis]
[limit.a]
[operation.browse]
share = 1
flow = [{ cpu.lognormal = { mean = "1ms", cv = 1 } }, { reply = "10KB" }]
[[assume]]
what = "time between clicks"
value = "10 s"
"#;

    fn gather_two(child: &str, sets: &[&str]) -> Gathered {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        gather("dir/child.toml", &sets, &mut |path| match path {
            "dir/child.toml" => Ok(child.to_string()),
            "dir/base.toml" => Ok(BASE.to_string()),
            _ => Err("no such file".into()),
        })
    }
    fn tree(child: &str, sets: &[&str]) -> Node {
        let gathered = gather_two(&format!("extends = \"base.toml\"\n{child}"), sets);
        assert_eq!(gathered.diagnostics, [], "{child} {sets:?}");
        gathered.tree.expect("no syntax errors")
    }
    fn slugs(child: &str, sets: &[&str]) -> Vec<&'static str> {
        gather_two(child, sets).diagnostics.iter().map(|diagnostic| diagnostic.slug).collect()
    }

    #[test]
    fn tables_merge_and_lists_are_replaced() {
        let tree = tree("objectives = []\n[service.web]\ncores = 2\n", &[]);
        let web = tree.at("service.web").expect("there");
        assert_eq!(web.entry("instances").map(|n| &n.value), Some(&Value::Integer(1)));
        assert_eq!(web.entry("cores").map(|n| &n.value), Some(&Value::Integer(2)));
        assert_eq!(tree.at("objectives").map(|n| &n.value), Some(&Value::Array(vec![])));
    }

    #[test]
    fn another_law_replaces_the_inherited_one() {
        let tree = tree("[users]\nthink.exponential = \"5s\"\n", &[]);
        assert_eq!(tree.at("users.think").and_then(Node::entries).map(<[_]>::len), Some(1));
        let quantiles = tree_with_cpu(&["operation.browse.flow.0.cpu.lognormal.median='2ms'"]);
        assert_eq!(quantiles, ["median"], "another set of parameters is another law");
        let same = tree_with_cpu(&["operation.browse.flow.0.cpu.lognormal.cv=2"]);
        assert_eq!(same, ["mean", "cv"]);
    }
    fn tree_with_cpu(sets: &[&str]) -> Vec<String> {
        let tree = tree("", sets);
        let law = tree.at("operation.browse.flow.0.cpu.lognormal").expect("there");
        law.entries().expect("a table").iter().map(|(key, _)| key.name.clone()).collect()
    }

    #[test]
    fn assumptions_add_to_the_inherited_ones() {
        let child = "[[assume]]\nwhat = \"patience\"\nvalue = \"30 s\"\n";
        let tree = tree(child, &[]);
        assert!(tree.at("assume.0").is_some() && tree.at("assume.1").is_some());
    }

    #[test]
    fn what_is_removed_is_gone_and_must_have_been_there() {
        let tree = tree("remove = [\"cache.redis\"]", &[]);
        assert!(tree.at("cache.redis").is_none() && tree.at("limit.a").is_some());
        let child = "extends = \"base.toml\"\nremove = [\"cache.rediss\"]";
        assert_eq!(slugs(child, &[]), ["unknown-path"]);
        assert_eq!(slugs("remove = [\"cache.redis\"]", &[]), ["unknown-path"]);
    }

    #[test]
    fn settings_need_no_quotes() {
        let tree = tree("", &["users.think.exponential=5s", "service.web.instances=4"]);
        let think = tree.at("users.think.exponential").expect("there");
        assert_eq!(think.text(), Some("5s"));
        assert_eq!(think.place.span, 24..26);
        let instances = tree.at("service.web.instances").map(|node| node.value.clone());
        assert_eq!(instances, Some(Value::Integer(4)));
    }

    #[test]
    fn settings_reach_into_lists_and_short_forms() {
        let tree = tree("", &["operation.browse.flow.1.reply.status=500"]);
        let reply = tree.at("operation.browse.flow.1.reply").expect("there");
        assert_eq!(reply.entry("bytes").and_then(Node::text), Some("10KB"));
        assert_eq!(reply.entry("status").map(|node| &node.value), Some(&Value::Integer(500)));
    }

    #[test]
    fn settings_of_what_does_not_exist_are_refused() {
        let child = "extends = \"base.toml\"";
        assert_eq!(slugs(child, &["service.wbe.instances=4"]), ["unknown-path"]);
        assert_eq!(slugs(child, &["pool.pg.size=4"]), ["unknown-path"]);
        assert_eq!(slugs(child, &["operation.browse.flow.7.cpu=1ms"]), ["unknown-path"]);
        assert_eq!(slugs(child, &["instances"]), ["bad-set"]);
    }

    #[test]
    fn files_that_build_on_themselves_or_on_nothing_are_refused() {
        assert_eq!(slugs("extends = \"child.toml\"", &[]), ["extends-cycle"]);
        assert_eq!(slugs("extends = [\"none.toml\"]", &[]), ["extends-missing"]);
    }

    #[test]
    fn paths_start_from_the_extending_file() {
        assert_eq!(beside("a/b.toml", "c.toml"), "a/c.toml");
        assert_eq!(beside("b.toml", "c.toml"), "c.toml");
        assert_eq!(beside("a/b/x.toml", "../c.toml"), "a/c.toml");
        assert_eq!(beside("/a/x.toml", "./c.toml"), "/a/c.toml");
        assert_eq!(beside("x.toml", "../c.toml"), "../c.toml");
        assert_eq!(beside("/a/x.toml", "/c.toml"), "/c.toml");
    }
}
