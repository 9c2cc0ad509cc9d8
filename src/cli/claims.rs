//! `loadbearing claims`

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use loadbearing::claims::{
    Bench, FUNCTIONS, Inquiry, Judged, Source, Trouble, Verdict, inquire, judge, load, to_json,
};
use loadbearing::report::folder::{self, Content, MANIFEST};
use loadbearing::report::manifest::{Manifest, Request, input_path};
use loadbearing::report::page::claims_page;
use loadbearing::report::{claimed, findings};
use loadbearing::topology::ReadText;

use super::options::{Outlet, Settings};
use super::progress::Bar;
use super::study::{check_folder, default_folder, stem};
use super::{Failure, diagnose, say, style_of_stdout};

/// Where claims files lie when none are named.
const FOLDER: &str = "experiments/claims";

/// Judges what a document claims: confirmed, plausible, refuted or undetermined, and why
///
/// Runs what the claims need, each thing once, and holds it against what is claimed: within 10 % it is
/// confirmed, within 30 % plausible. Where something that nobody knows would flip the verdict, the
/// claim is undetermined and the assumption that decides is named.
#[derive(Args)]
#[command(after_help = "\
Examples:
  loadbearing claims                                judges all of experiments/claims
  loadbearing claims my-document.toml
  loadbearing claims --only MB-004 --only MB-00     by id, or by its beginning
  loadbearing claims --functions                    what formulas may use

Exit code 99 says that a claim is refuted, so a capacity document can be a gate in CI.")]
pub struct Arguments {
    /// The claims files [default: experiments/claims/*.toml]
    files: Vec<String>,
    /// Judges only claims whose id is or begins with this; can be said many times
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Threads; the result does not depend on them [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Work")]
    threads: Option<u16>,
    /// Writes a page with all verdicts, contradictions, capacities and figures, as docs/findings.md
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    findings: Option<PathBuf>,
    #[command(flatten)]
    outlet: Outlet,
    /// Lists the functions that formulas may use
    #[arg(long, help_heading = "Output")]
    functions: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.functions {
        return say(&functions());
    }
    let texts = RefCell::new(BTreeMap::new());
    let read = |path: &str| cached(&texts, path);
    let files = if arguments.files.is_empty() { shipped()? } else { arguments.files.clone() };
    let sources = read_all(&files, &mut |path| read(path))?;
    let only = &arguments.only;
    let wanted = |id: &str| is_wanted(only, id);
    if !sources.iter().any(|it| it.claims.claims.iter().any(|it| wanted(&it.name))) {
        return Err(Failure::Usage(match only.is_empty() {
            true => "there is no claim in these files; a claim is a table `[claim.NAME]`".into(),
            false => format!("no claim is called `{}`", only.join("`, `")),
        }));
    }
    let outlet = &arguments.outlet;
    let output = outlet.output.clone().unwrap_or_else(|| match sources.as_slice() {
        [only] => default_folder(&format!("{}-claims", stem(&only.path))),
        _ => default_folder("claims"),
    });
    if !outlet.no_files {
        check_folder(&output)?;
    }
    let bar = Bar::new(outlet.quiet);
    let threads = arguments.threads.map(usize::from);
    let mut bench = Bench::new(&read, arguments.settings.sets(), threads, &bar);
    let done = judge(&sources, &wanted, &mut bench).and_then(|judged| {
        let inquire = |it| inquire(it, &mut bench);
        let inquiries = match &arguments.findings {
            Some(_) => sources.iter().map(inquire).collect::<Result<Vec<Inquiry>, Trouble>>()?,
            None => Vec::new(),
        };
        Ok((judged, inquiries))
    });
    bar.clear();
    let (judged, inquiries) = done.map_err(failure)?;
    if let Some(path) = &arguments.findings {
        write_page(path, &sources, &judged, &inquiries)?;
    }
    if !outlet.no_files {
        let request = Request {
            command: "claims",
            options: only.iter().flat_map(|id| ["--only".to_string(), id.clone()]).collect(),
            files,
            sets: arguments.settings.sets(),
            precision: None,
        };
        let inputs: Vec<(String, String)> = texts.take().into_iter().collect();
        write_report(&output, &sources, &judged, &request, &inputs)?;
    }
    if outlet.json {
        say(&format!("{:#}\n", to_json(&sources, &judged)))?;
    } else if !outlet.quiet {
        let mut text = claimed(&sources, &judged, style_of_stdout());
        if !outlet.no_files {
            text.push_str(&format!("files: {}\n", output.display()));
        }
        say(&text)?;
    }
    let refuted = |it: &Judged| it.verdict == Verdict::Refuted;
    if judged.iter().flatten().any(refuted) { Err(Failure::NotMet) } else { Ok(()) }
}

/// The report and the verdicts as data.
fn write_report(
    folder: &Path,
    sources: &[Source],
    judged: &[Vec<Judged>],
    request: &Request,
    inputs: &[(String, String)],
) -> Result<(), Failure> {
    let mut contents = self::contents(sources, judged, request);
    let mut manifest = Manifest::new(request, &[], inputs, &contents);
    manifest.columns.clear();
    contents.push(Content { path: MANIFEST.into(), bytes: manifest.to_toml().into_bytes() });
    contents.extend(inputs.iter().enumerate().map(|(index, (path, text))| Content {
        path: input_path(index, path),
        bytes: text.clone().into_bytes(),
    }));
    folder::write(folder, &contents).map_err(|error| Failure::Failed(error.to_string()))
}

/// The verdicts as data, the report and its figures.
fn contents(sources: &[Source], judged: &[Vec<Judged>], request: &Request) -> Vec<Content> {
    let data = format!("{:#}\n", to_json(sources, judged));
    let mut contents = vec![Content { path: "claims.json".into(), bytes: data.into_bytes() }];
    contents.extend(claims_page(sources, judged, &request.command_line()).contents());
    contents
}

/// Judges again what a manifest asks for.
///
/// # Errors
/// When a file of the manifest is wrong, or a run is.
pub fn again(
    request: &Request,
    read: &dyn Fn(&str) -> Result<String, String>,
    threads: Option<usize>,
    quiet: bool,
) -> Result<Vec<Content>, Failure> {
    let sources = read_all(&request.files, &mut |path| read(path))?;
    let only: Vec<String> =
        request.options.iter().filter(|word| *word != "--only").cloned().collect();
    let bar = Bar::new(quiet);
    let mut bench = Bench::new(&read, request.sets.clone(), threads, &bar);
    let judged = judge(&sources, &|id: &str| is_wanted(&only, id), &mut bench);
    bar.clear();
    Ok(contents(&sources, &judged.map_err(failure)?, request))
}

/// Whether a claim is asked for: all are, unless some are named by their beginnings.
fn is_wanted(only: &[String], id: &str) -> bool {
    only.is_empty() || only.iter().any(|it| id.starts_with(it.as_str()))
}

/// Writes the page of findings, its figures in a folder of its name beside it.
fn write_page(
    path: &Path,
    sources: &[Source],
    judged: &[Vec<Judged>],
    inquiries: &[Inquiry],
) -> Result<(), Failure> {
    let folder = path.file_stem().map_or("findings".into(), |stem| stem.to_string_lossy());
    let command = format!("loadbearing claims --findings {}", path.display());
    let page = findings(sources, judged, inquiries, &command, &folder);
    let parent = path.parent().unwrap_or(Path::new(""));
    let write = |path: PathBuf, text: &str| {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let made = folder.map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
    };
    for (figure, svg) in &page.figures {
        write(parent.join(figure), svg)?;
    }
    write(path.to_path_buf(), &page.text)
}

/// A text that is read once: many scenarios build on the same files.
fn cached(texts: &RefCell<BTreeMap<String, String>>, path: &str) -> Result<String, String> {
    if let Some(text) = texts.borrow().get(path) {
        return Ok(text.clone());
    }
    let text = diagnose::read(path)?;
    texts.borrow_mut().insert(path.into(), text.clone());
    Ok(text)
}

/// Reads claims files; says all that is wrong with them.
fn read_all(files: &[String], read: ReadText<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut sound = true;
    for path in files {
        let loaded = load(path, read);
        diagnose::say(&loaded.diagnostics, &loaded.sources);
        match loaded.claims {
            Some(claims) => sources.push(Source { path: path.clone(), claims }),
            None => sound = false,
        }
    }
    if sound { Ok(sources) } else { Err(Failure::WrongFile) }
}

/// The claims files of the usual folder, by name.
fn shipped() -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(FOLDER).map_err(|error| {
        Failure::Usage(format!("there is no folder `{FOLDER}` here ({error}): name claims files"))
    })?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let toml = paths.filter(|path| path.extension().is_some_and(|it| it == "toml"));
    let mut files: Vec<String> = toml.map(|path| path.to_string_lossy().into_owned()).collect();
    files.sort();
    Ok(files)
}

fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Wrong(loaded) => {
            diagnose::say_diagnostics(&loaded);
            Failure::WrongFile
        }
        Trouble::Other(why) => Failure::Failed(why),
    }
}

fn functions() -> String {
    let form = |it: &loadbearing::claims::Function| format!("{}\n    {}\n", it.form, it.meaning);
    FUNCTIONS.iter().map(form).collect()
}
