//! `loadbearing rerun`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use loadbearing::report::folder::{Content, MANIFEST};
use loadbearing::report::manifest::{Manifest, Request, digest};
use loadbearing::report::sweep::sheets;
use loadbearing::result::RESULTS_VERSION;

use super::progress::Bar;
use super::study::Study;
use super::{Failure, capacity, claims, say, stress, sweep};

/// Makes an earlier result again and says whether it is the same, byte by byte
///
/// The manifest has everything that is needed; the topology files as they were are kept beside it.
/// Nothing is written. Exit code 3 says that something differs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing rerun output/shop/manifest.toml
  loadbearing rerun output/shop")]
pub struct Arguments {
    /// The manifest of the result, or its folder
    manifest: PathBuf,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = match arguments.manifest.is_dir() {
        true => arguments.manifest.join(MANIFEST),
        false => arguments.manifest.clone(),
    };
    if !path.exists() {
        let why = format!("there is no `{}`; name the folder of a result", path.display());
        return Err(Failure::Failed(format!("{why}, such as `output/shop`")));
    }
    let text = read(&path)?;
    let manifest = Manifest::parse(&text)
        .map_err(|why| Failure::Failed(format!("`{}` is no manifest: {why}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let inputs = inputs(&manifest, folder)?;
    let read = &mut |path: &str| {
        inputs.get(path).cloned().ok_or_else(|| "the manifest does not hold it".to_string())
    };
    let request = request(&manifest)?;
    let (threads, quiet) = (arguments.threads.map(usize::from), arguments.quiet);
    let (digests, contents) = if request.command == "sweep" {
        swept(&request, &inputs, threads, quiet)?
    } else if request.command == "capacity" {
        let done = capacity::again(request, read, threads, quiet)?;
        (vec![done.digest()], done.contents())
    } else if request.command == "claims" {
        let kept = |path: &str| {
            inputs.get(path).cloned().ok_or_else(|| "the manifest does not hold it".to_string())
        };
        (Vec::new(), claims::again(&request, &kept, threads, quiet)?)
    } else if request.command == "stress" {
        let done = stress::again(request, read, threads, quiet)?;
        (done.digests(), done.contents())
    } else {
        let studied = Study::load(request, read)?.run(threads, quiet)?;
        let digests = studied.points().iter().map(|it| it.summary.digest_text()).collect();
        (digests, studied.contents())
    };
    let differing = differences(&manifest, folder, &digests, &contents);
    if arguments.json {
        let told = serde_json::json!({
            "identical": differing.is_empty(), "differences": differing,
            "files": manifest.outputs.iter().map(|it| &it.file).collect::<Vec<_>>(),
            "digests": manifest.models.iter().map(|it| &it.digest).collect::<Vec<_>>(),
        });
        say(&format!("{told:#}\n"))?;
        return if differing.is_empty() { Ok(()) } else { Err(Failure::Said) };
    }
    if differing.is_empty() {
        let digests: Vec<&str> = manifest.models.iter().map(|it| it.digest.as_str()).collect();
        let files = manifest.outputs.iter().map(|it| it.file.as_str());
        let (figures, mut files): (Vec<&str>, Vec<&str>) =
            files.partition(|file| file.starts_with("figures/"));
        let count = format!("{} figures", figures.len());
        if !figures.is_empty() {
            files.push(&count);
        }
        return say(&format!("identical: {}\ndigest: {}\n", files.join(", "), digests.join(", ")));
    }
    say(&format!("{}\n", differing.join("\n")))?;
    Err(Failure::Said)
}

/// An experiment again, every run of it.
fn swept(
    request: &Request,
    inputs: &BTreeMap<String, String>,
    threads: Option<usize>,
    quiet: bool,
) -> Result<(Vec<String>, Vec<Content>), Failure> {
    let kept = |path: &str| {
        inputs.get(path).cloned().ok_or_else(|| "the manifest does not hold it".to_string())
    };
    let bar = Bar::new(quiet);
    let (prepared, found) =
        sweep::answer(&request.files[0], &request.sets, &kept, None, threads, &bar)?;
    bar.clear();
    let contents = sweep::contents(request, &prepared, &found, &sheets(&prepared, &found));
    Ok((vec![found.digest.clone()], contents))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::Failed(format!("cannot read `{}`: {error}", path.display())))
}

fn request(manifest: &Manifest) -> Result<Request, Failure> {
    let command = ["run", "compare", "capacity", "stress", "sweep", "claims"]
        .into_iter()
        .find(|command| *command == manifest.command);
    let command = command.ok_or_else(|| {
        Failure::Failed(format!("the manifest is of `{}`, which is no command", manifest.command))
    })?;
    Ok(Request {
        command,
        options: manifest.options.clone(),
        files: manifest.files.clone(),
        sets: manifest.sets.clone(),
        precision: manifest.precision,
    })
}

/// The topology files as they were, by their paths.
fn inputs(manifest: &Manifest, folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut texts = BTreeMap::new();
    for input in &manifest.inputs {
        let path = folder.join(&input.content);
        let text = read(&path)?;
        if digest(text.as_bytes()) != input.blake3 {
            let why = "is not the file that the result was made from: its digest differs";
            return Err(Failure::Failed(format!("`{}` {why}", path.display())));
        }
        texts.insert(input.path.clone(), text);
    }
    Ok(texts)
}

/// What is not as the manifest says, in words.
fn differences(
    manifest: &Manifest,
    folder: &Path,
    digests: &[String],
    contents: &[Content],
) -> Vec<String> {
    let mut found = Vec::new();
    for (record, now) in manifest.models.iter().zip(digests) {
        if record.digest != *now {
            let was = &record.digest;
            found.push(format!("{} differs: its digest was {was}, it is {now}", record.name));
        }
    }
    for record in &manifest.outputs {
        let again = contents.iter().find(|it| it.path == record.file);
        if again.is_none_or(|it| digest(&it.bytes) != record.blake3) {
            found.push(first_difference(&record.file, folder, again));
        }
        let there = fs::read(folder.join(&record.file));
        if there.is_ok_and(|bytes| digest(&bytes) != record.blake3) {
            found.push(format!("{} was changed since it was written", record.file));
        }
    }
    if !found.is_empty() && manifest.results_version != RESULTS_VERSION {
        let (was, is) = (manifest.results_version, RESULTS_VERSION);
        found.push(format!("the result was made with results version {was}, this is version {is}"));
    }
    found
}

/// Where a file first differs from the one on disk.
fn first_difference(file: &str, folder: &Path, again: Option<&Content>) -> String {
    let Some(again) = again else { return format!("{file} is not written any more") };
    let now = String::from_utf8_lossy(&again.bytes);
    let was = fs::read_to_string(folder.join(file)).unwrap_or_default();
    let lines = was.lines().zip(now.lines()).enumerate();
    match lines.into_iter().find(|(_, (was, now))| was != now) {
        Some((index, (was, now))) => {
            format!("{file} differs, first in line {}:\n  was {was}\n  now {now}", index + 1)
        }
        None => format!("{file} differs in its length"),
    }
}
