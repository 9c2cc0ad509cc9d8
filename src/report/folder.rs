//! Writes a folder whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file to be written: its path within the folder, and its content.
pub struct Content {
    /// Path within the folder, with `/`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The file by which a folder is known to be an earlier result.
pub const MANIFEST: &str = "manifest.toml";

/// The world is wrong: what was tried where, and why it failed.
#[derive(Debug)]
pub struct Error {
    /// What was tried.
    pub attempt: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why it failed.
    pub cause: io::Error,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.attempt, self.path.display(), self.cause)
    }
}
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

fn failed<'a>(attempt: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |cause| Error { attempt, path: path.into(), cause }
}

/// Writes the files into a folder that afterwards holds them and nothing else.
///
/// They are written beside it first and reach the disk; then one rename puts them in place, so that
/// a folder under its name is always complete. An earlier result is replaced; a folder that is none
/// is left alone.
///
/// # Errors
/// If the file system refuses, or something that is no earlier result stands in the way.
pub fn write(folder: &Path, files: &[Content]) -> Result<(), Error> {
    refuse_strangers(folder)?;
    let parent = parent_of(folder);
    fs::create_dir_all(parent).map_err(failed("create", parent))?;
    let (fresh, stale) = (beside(folder, "partial"), beside(folder, "replaced"));
    let written = fill(&fresh, files).and_then(|()| put_in_place(&fresh, folder, &stale));
    if written.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    written?;
    if let Ok(handle) = File::open(parent) {
        // Makes the rename durable; not every file system lets a folder be synchronised.
        let _ = handle.sync_all();
    }
    Ok(())
}

/// Whether a folder could be written now: better known before a long run than after it.
///
/// # Errors
/// As [`write()`] would end.
pub fn check(folder: &Path) -> Result<(), Error> {
    refuse_strangers(folder)?;
    let parent = parent_of(folder);
    fs::create_dir_all(parent).map_err(failed("create", parent))?;
    let probe = beside(folder, "probe");
    fs::create_dir(&probe).map_err(failed("write beside", folder))?;
    let _ = fs::remove_dir(&probe);
    Ok(())
}

fn parent_of(folder: &Path) -> &Path {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A hidden neighbour. The process in its name keeps two writers of one folder apart.
fn beside(folder: &Path, purpose: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    parent_of(folder).join(format!(".{name}.{purpose}-{}", std::process::id()))
}

/// An empty folder or an earlier result may be replaced, nothing else.
fn refuse_strangers(folder: &Path) -> Result<(), Error> {
    let refuse = |why: &str| {
        let cause = io::Error::new(io::ErrorKind::AlreadyExists, why.to_string());
        Err(Error { attempt: "replace", path: folder.into(), cause })
    };
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => refuse("it is no folder"),
        Ok(mut entries) => {
            let empty = entries.next().is_none();
            if empty || folder.join(MANIFEST).is_file() {
                return Ok(());
            }
            refuse("it holds other things than an earlier result")
        }
    }
}

fn fill(fresh: &Path, files: &[Content]) -> Result<(), Error> {
    fs::create_dir(fresh).map_err(failed("create", fresh))?;
    for content in files {
        let path = fresh.join(&content.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("create", parent))?;
        }
        let mut file = File::create(&path).map_err(failed("create", &path))?;
        file.write_all(&content.bytes).map_err(failed("write", &path))?;
        file.sync_all().map_err(failed("write", &path))?;
    }
    Ok(())
}

fn put_in_place(fresh: &Path, folder: &Path, stale: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::rename(folder, stale).map_err(failed("replace", folder))?;
        if let Err(cause) = fs::rename(fresh, folder) {
            // The earlier result goes back to its place.
            let _ = fs::rename(stale, folder);
            return Err(Error { attempt: "create", path: folder.into(), cause });
        }
        return fs::remove_dir_all(stale).map_err(failed("remove", stale));
    }
    fs::rename(fresh, folder).map_err(failed("create", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("loadbearing-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
    fn content(path: &str, text: &str) -> Content {
        Content { path: path.into(), bytes: text.into() }
    }
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let home = scratch("check");
        let strange = home.join("strange");
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("mine.txt"), "mine").unwrap();
        fs::write(home.join("file"), "").unwrap();
        assert!(check(&strange).is_err());
        assert!(check(&home.join("file/below")).is_err());
        check(&home.join("fresh")).unwrap();
        assert_eq!(names(&home), ["file", "strange"]);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn an_earlier_result_is_replaced_whole() {
        let home = scratch("replaced");
        let folder = home.join("deep/result");
        write(&folder, &[content(MANIFEST, "1"), content("runs.csv", "a")]).unwrap();
        write(&folder, &[content(MANIFEST, "2"), content("inputs/a.toml", "b")]).unwrap();
        assert_eq!(names(&folder), ["inputs", MANIFEST]);
        assert_eq!(fs::read_to_string(folder.join(MANIFEST)).unwrap(), "2");
        assert_eq!(names(folder.parent().unwrap()), ["result"]);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_the_earlier_result_and_nothing_else() {
        let home = scratch("failed");
        let folder = home.join("result");
        write(&folder, &[content(MANIFEST, "1")]).unwrap();
        // A file cannot be in a folder that is a file: the second of them fails.
        let broken = [content(MANIFEST, "2"), content("manifest.toml/x", "")];
        let error = write(&folder, &broken).unwrap_err();
        assert!(error.to_string().contains("manifest.toml"), "{error}");
        assert_eq!(fs::read_to_string(folder.join(MANIFEST)).unwrap(), "1");
        assert_eq!(names(&home), ["result"]);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let home = scratch("stranger");
        fs::write(home.join("thesis.tex"), "years of work").unwrap();
        let error = write(&home, &[content(MANIFEST, "1")]).unwrap_err();
        assert!(error.to_string().contains("other things"), "{error}");
        assert_eq!(names(&home), ["thesis.tex"]);
        fs::remove_dir_all(home).unwrap();
    }
}
