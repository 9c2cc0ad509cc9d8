//! Who runs a sweep: this machine, or a Dask cluster.

use std::process::Command;

use super::Failure;
use super::shards::{Plan, make_plan};
use super::sweep::Work;

/// Who runs a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// The threads of this machine.
    Local,
    /// The workers of a Dask scheduler, at `host:port`.
    Dask(String),
}

/// `local` or `dask://host:port`.
pub fn parse(text: &str) -> Result<Engine, String> {
    if text == "local" {
        return Ok(Engine::Local);
    }
    let address = text.strip_prefix("dask://");
    let is_address = |it: &&str| {
        it.rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    match address.filter(is_address) {
        Some(address) => Ok(Engine::Dask(address.into())),
        None => Err("write `local`, or a Dask scheduler as dask://host:8786".into()),
    }
}

/// The interpreter that has the package `loadbearing_dask`.
const PYTHON: &str = "LOADBEARING_PYTHON";

/// Plans a sweep and has the chunks run by the workers of a Dask scheduler. They publish to the
/// folder of the plan, which all of them must see; what they return is nothing.
pub fn run_on_dask(scheduler: &str, file: &str, work: &Work, quiet: bool) -> Result<(), Failure> {
    let folder = work.folder(file);
    let settings = work.settings.clone();
    let work = Work { settings, threads: work.threads, work: Some(folder.clone()) };
    let (plan, _) = make_plan(&Plan { file: file.into(), work, chunk_runs: None })?;
    if plan.chunks == 0 {
        return Ok(());
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("cannot tell where this program is: {error}")))?;
    let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.args(["-m", "loadbearing_dask", scheduler]).arg(&folder).arg("--program").arg(program);
    if quiet {
        command.arg("--quiet");
    }
    let ended = command.status().map_err(|error| {
        Failure::Failed(format!("cannot start `{python}`: {error}\n  help: set {PYTHON}"))
    })?;
    if ended.success() {
        return Ok(());
    }
    let why = format!(
        "the Dask run failed ({ended}); what is finished is kept\n  \
         help: `{PYTHON}` must name an interpreter with the package `loadbearing-dask` (python/)"
    );
    Err(Failure::Failed(why))
}
