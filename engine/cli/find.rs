//! Where runbooks are, and which one a name means (`cli.md`, first paragraph).

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use runbook_core::diagnostic::suggest;
use runbook_runtime::store::Place;

use crate::environment::Environment;
use crate::error::CommandError;

/// The name of a project's folder of runbooks.
const FOLDER: &str = "runbooks";
/// A folder of runbooks is not a whole disk.
const DEPTH_MAX: usize = 16;

/// A runbook's file and where its commands run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunbookFile {
    /// The path below the folder of runbooks without the ending; the stem of a file outside of one.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// The project's root: the parent of the folder of runbooks, else the file's own folder (`language.md` §1, Folders).
    pub(crate) root: PathBuf,
}

impl RunbookFile {
    /// Where it lies, as runs record it.
    pub(crate) fn place(&self) -> Option<Place> {
        Place::new(&self.root, &self.path)
    }

    /// The file of its scenarios, `NAME.test.yaml` beside it, where there is one.
    pub(crate) fn scenarios(&self) -> Option<PathBuf> {
        let beside = ["test.yaml", "test.yml"].map(|ending| self.path.with_extension(ending));
        beside.into_iter().find(|path| path.is_file())
    }
}

/// The folders of runbooks, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    folders: Vec<PathBuf>,
    current_dir: PathBuf,
}

impl Library {
    /// The folder that `--dir` names, or else the nearest `runbooks/` and the user's own.
    ///
    /// # Errors
    /// Where `--dir` names no folder.
    pub(crate) fn discover(typed: Option<&Path>, environment: &Environment) -> Result<Self, CommandError> {
        let current_dir = environment.current_dir.clone();
        if let Some(typed) = typed {
            let folder = environment.typed(typed);
            if !folder.is_dir() {
                return Err(CommandError::usage(format!("there is no folder {}", folder.display()))
                    .with_hint("--dir and RUNBOOK_DIR name the folder of runbooks"));
            }
            return Ok(Self { folders: vec![readable(tidy(&folder))?], current_dir });
        }
        let nearest =
            current_dir.ancestors().map(|parent| parent.join(FOLDER)).find(|folder| folder.is_dir());
        let own = environment.config_home.as_ref().map(|home| home.join("runbook").join(FOLDER));
        let found = nearest.into_iter().chain(own.filter(|folder| folder.is_dir()));
        Ok(Self { folders: found.map(readable).collect::<Result<_, _>>()?, current_dir })
    }

    /// Whoever checks all runbooks where there is no folder of any has checked nothing.
    ///
    /// # Errors
    /// Where no folder was found.
    pub(crate) fn refuse_none(&self) -> Result<(), CommandError> {
        if self.folders.is_empty() {
            return Err(CommandError::usage("no folder `runbooks` was found here or above")
                .with_hint("name a file, or the folder with --dir"));
        }
        Ok(())
    }

    /// The projects' roots: what the folders of runbooks are in.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| parent(folder)).collect()
    }

    /// All runbooks, folder by folder, by name.
    pub(crate) fn list(&self) -> Vec<RunbookFile> {
        self.folders.iter().flat_map(|folder| runbooks_in(folder)).collect()
    }

    /// Files of scenarios that stand beside no runbook.
    pub(crate) fn stray_scenarios(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for folder in &self.folders {
            collect(folder, DEPTH_MAX, &mut HashSet::new(), is_scenarios, &mut files);
        }
        files.retain(|path| {
            let stem = path.with_extension("").with_extension("");
            !["yaml", "yml"].iter().any(|ending| {
                let mut runbook = stem.clone().into_os_string();
                runbook.push(".");
                runbook.push(ending);
                Path::new(&runbook).is_file()
            })
        });
        files.sort();
        files
    }

    /// The runbook that a name means.
    ///
    /// # Errors
    /// Where there is none, with the nearest name; where a stem is not unique, with all that it could mean.
    pub(crate) fn find(&self, name: &str) -> Result<RunbookFile, CommandError> {
        self.find_any(name)?.ok_or_else(|| self.unknown(name))
    }

    /// The runbook that a name means; `None` where there is none.
    ///
    /// # Errors
    /// Where a stem is not unique, with all that it could mean.
    pub(crate) fn find_any(&self, name: &str) -> Result<Option<RunbookFile>, CommandError> {
        for folder in &self.folders {
            let known = runbooks_in(folder);
            if let Some(found) = known.iter().find(|runbook| runbook.name == name) {
                return Ok(Some(found.clone()));
            }
            let of_stem: Vec<&RunbookFile> =
                known.iter().filter(|runbook| stem(&runbook.name) == name).collect();
            match of_stem.as_slice() {
                [] => {}
                [only] => return Ok(Some((*only).clone())),
                several => {
                    let names: Vec<&str> = several.iter().map(|runbook| runbook.name.as_str()).collect();
                    return Err(CommandError::usage(format!(
                        "`{name}` could be any of {}; write which one",
                        names.join(", ")
                    )));
                }
            }
        }
        let typed = self.current_dir.join(name);
        if typed.is_file() {
            return Ok(Some(self.of_file(&typed)));
        }
        // A path below a folder may be written with its ending.
        let below = self
            .folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| is_runbook(path) && path.is_file());
        Ok(below.map(|path| self.of_file(&path)))
    }

    /// The file that a text with the ending of runbooks names from here, whether or not it is there still.
    pub(crate) fn typed_file(&self, text: &str) -> Option<RunbookFile> {
        let path = self.current_dir.join(text);
        is_runbook(&path).then(|| self.of_file(&path))
    }

    /// A runbook by its file.
    fn of_file(&self, path: &Path) -> RunbookFile {
        let path = tidy(path);
        let folder =
            self.folders.iter().find(|folder| path.starts_with(folder)).map(PathBuf::as_path).or_else(|| {
                path.ancestors().skip(1).find(|parent| parent.file_name().is_some_and(|name| name == FOLDER))
            });
        match folder {
            Some(folder) => RunbookFile { name: name_below(folder, &path), root: parent(folder), path },
            None => RunbookFile {
                name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                root: parent(&path),
                path,
            },
        }
    }

    fn unknown(&self, name: &str) -> CommandError {
        let known = self.list();
        let error = CommandError::usage(format!("there is no runbook `{name}`"));
        let names = known.iter().flat_map(|runbook| [runbook.name.as_str(), stem(&runbook.name)]);
        match (suggest(name, names), self.folders.as_slice()) {
            (Some(near), _) => error.with_hint(format!("did you mean `{near}`?")),
            (None, []) => error.with_hint(
                "no folder `runbooks` was found here or above: name a file, or the folder with --dir",
            ),
            (None, folders) => {
                let folders: Vec<String> =
                    folders.iter().map(|folder| folder.display().to_string()).collect();
                error.with_hint(format!("runbook list shows what is in {}", folders.join(" and ")))
            }
        }
    }
}

/// A folder of runbooks, where it can be read: one that can't is not the same as an empty one.
fn readable(folder: PathBuf) -> Result<PathBuf, CommandError> {
    match std::fs::read_dir(&folder) {
        Ok(_) => Ok(folder),
        Err(error) => {
            Err(CommandError::usage(format!("cannot read the folder {}", folder.display()))
                .with_cause(&error))
        }
    }
}

/// The runbooks in a folder and below, by name.
fn runbooks_in(folder: &Path) -> Vec<RunbookFile> {
    let mut files = Vec::new();
    collect(folder, DEPTH_MAX, &mut HashSet::new(), is_runbook, &mut files);
    let root = parent(folder);
    let mut found: Vec<RunbookFile> = files
        .into_iter()
        .map(|path| RunbookFile { name: name_below(folder, &path), root: root.clone(), path })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// A folder that can't be read holds nothing for us; naming a file in it says why.
fn collect(
    folder: &Path,
    depth: usize,
    seen: &mut HashSet<(u64, u64)>,
    is_wanted: fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
) {
    // A link back up would go round for ever.
    let Ok(metadata) = folder.metadata() else { return };
    if depth == 0 || !seen.insert((metadata.dev(), metadata.ino())) {
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            collect(&path, depth - 1, seen, is_wanted, files);
        } else if is_wanted(&path) && path.is_file() {
            files.push(path);
        }
    }
}

/// Whether a file's name is one of a runbook: not the project's file, not a scenario test.
fn is_runbook(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")) else { return false };
    !stem.is_empty() && stem != "project" && !stem.ends_with(".test")
}

/// Whether a file's name is one of scenarios: `NAME.test.yaml`.
fn is_scenarios(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

fn name_below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).with_extension("").to_string_lossy().into_owned()
}

fn stem(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The path without `.` and `..`, so that its parents are what a person means by them; links are kept.
fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut tidy, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => tidy.push(component),
        }
        tidy
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let project = tempfile::tempdir().expect("a temporary folder");
        for file in [
            "runbooks/zetra/deploy.yaml",
            "runbooks/backup.yml",
            "runbooks/a/same.yaml",
            "runbooks/b/same.yaml",
            "runbooks/project.yaml",
            "runbooks/backup.test.yaml",
            "runbooks/.hidden.yaml",
            "runbooks/notes.md",
            "src/deep/here.txt",
            "alone.yaml",
            "config/runbook/runbooks/mine.yaml",
            "config/runbook/runbooks/backup.yaml",
        ] {
            let path = project.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("a file");
        }
        project
    }

    fn environment(project: &Path) -> Environment {
        Environment {
            current_dir: project.join("src/deep"),
            config_home: Some(project.join("config")),
            ..Environment::default()
        }
    }

    #[test]
    fn names_mean_runbooks() {
        let project = project();
        let library = Library::discover(None, &environment(project.path())).expect("a library");
        let alone = project.path().join("alone.yaml").display().to_string();
        let table = [
            ("zetra/deploy", "zetra/deploy", "runbooks/zetra/deploy.yaml", ""),
            ("deploy", "zetra/deploy", "runbooks/zetra/deploy.yaml", ""),
            ("backup", "backup", "runbooks/backup.yml", ""),
            ("mine", "mine", "config/runbook/runbooks/mine.yaml", "config/runbook"),
            ("a/same", "a/same", "runbooks/a/same.yaml", ""),
            ("../../alone.yaml", "alone", "alone.yaml", ""),
            (alone.as_str(), "alone", "alone.yaml", ""),
            ("../../runbooks/zetra/deploy.yaml", "zetra/deploy", "runbooks/zetra/deploy.yaml", ""),
            ("zetra/deploy.yaml", "zetra/deploy", "runbooks/zetra/deploy.yaml", ""),
        ];
        for (name, expected, path, root) in table {
            let found = library.find(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!((found.name.as_str(), &found.path), (expected, &project.path().join(path)), "{name}");
            assert_eq!(found.root, tidy(&project.path().join(root)), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_unique_is_said() {
        let project = project();
        let library = Library::discover(None, &environment(project.path())).expect("a library");
        let error = library.find("same").expect_err("not unique");
        assert_eq!(error.message, "`same` could be any of a/same, b/same; write which one");
        let error = library.find("deplyo").expect_err("unknown");
        assert_eq!(error.hints, ["did you mean `deploy`?"]);
        let error = library.find("project").expect_err("no runbook");
        assert_eq!(error.message, "there is no runbook `project`");
    }

    #[test]
    fn all_runbooks_are_listed_once() {
        let project = project();
        let link = project.path().join("runbooks/loop");
        std::os::unix::fs::symlink(project.path().join("runbooks"), link).expect("a link");
        let library = Library::discover(None, &environment(project.path())).expect("a library");
        let names: Vec<String> = library.list().into_iter().map(|runbook| runbook.name).collect();
        assert_eq!(names, ["a/same", "b/same", "backup", "zetra/deploy", "backup", "mine"]);
    }

    #[test]
    fn a_named_folder_stands_alone() {
        let project = project();
        let environment = environment(project.path());
        let library =
            Library::discover(Some(Path::new("../../runbooks/zetra")), &environment).expect("a library");
        let found = library.find("deploy").expect("found");
        assert_eq!((found.name.as_str(), found.root), ("deploy", project.path().join("runbooks")));
        assert!(library.find("backup").is_err());
        assert!(Library::discover(Some(Path::new("nowhere")), &environment).is_err());
    }
}
