//! Goes through the declared secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use zeroize::Zeroizing;

use super::VALUE_LEN_MAX;
use super::command::{self, COMMAND_TIMEOUT};
use super::error::{SecretError, SecretReason};
use crate::redact::{Masker, SecretValue, Secrets};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `{env: NAME}`: the variable of that name.
    Env(String),
    /// `{file: path}`: relative to the project's root; `~` is the home directory. Loses one trailing newline.
    File(PathBuf),
    /// `{command: […]}`: the standard output of an argv, run in the project's root without a terminal, at most
    /// [`COMMAND_TIMEOUT`]. Loses one trailing newline.
    Command(Vec<String>),
}

/// Reads all of them, one after the other (two commands may both ask for a passphrase); every one that can't be read is reported.
///
/// `environment` is what the engine was started with: `env:` and `~` look into it, and commands get it.
///
/// # Errors
/// One error for each secret that is missing, unreadable, empty or too short, in the order of the declarations.
pub async fn read_all(
    sources: &IndexMap<String, SecretSource>,
    root: &Path,
    environment: &IndexMap<String, String>,
) -> Result<Secrets, Vec<SecretError>> {
    let mut secrets = Secrets::default();
    let mut errors = Vec::new();
    for (name, source) in sources {
        let read = match read_one(source, root, environment).await {
            Ok(value) => SecretValue::new(name, value.to_vec()).map_err(SecretError::from),
            Err(reason) => Err(SecretError::Unreadable { name: name.clone(), reason }),
        };
        match read {
            Ok(secret) => secrets.push(secret),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(secrets);
    }
    mask(&mut errors, &Masker::new(&secrets));
    Err(errors)
}

/// Reads those that are at hand: variables and plain files. Nothing is started, nothing is waited for, and what can't be had
/// is left out: whoever only speaks about a run needs none of them.
#[must_use]
pub fn read_at_hand(
    sources: &IndexMap<String, SecretSource>,
    root: &Path,
    environment: &IndexMap<String, String>,
) -> Secrets {
    let mut secrets = Secrets::default();
    for (name, source) in sources {
        let value = match source {
            SecretSource::Env(variable) => environment.get(variable).map(|value| value.clone().into_bytes()),
            SecretSource::File(path) => expand_home(path, environment)
                .ok()
                .map(|path| root.join(path))
                // Another process may be the writing end of what is no plain file.
                .filter(|path| path.is_file())
                .and_then(|path| read_file(path).and_then(|value| checked(value, VALUE_LEN_MAX)).ok())
                .map(|value| value.to_vec()),
            SecretSource::Command(_) => None,
        };
        if let Some(secret) = value.and_then(|value| SecretValue::new(name, value).ok()) {
            secrets.push(secret);
        }
    }
    secrets
}

async fn read_one(
    source: &SecretSource,
    root: &Path,
    environment: &IndexMap<String, String>,
) -> Result<Zeroizing<Vec<u8>>, SecretReason> {
    match source {
        SecretSource::Env(variable) => match environment.get(variable) {
            Some(value) => Ok(Zeroizing::new(value.clone().into_bytes())),
            None => Err(SecretReason::NotSet { variable: variable.clone() }),
        },
        SecretSource::File(path) => {
            let path = root.join(expand_home(path, environment)?);
            let limit = VALUE_LEN_MAX;
            let read = tokio::task::spawn_blocking(move || read_file(path))
                .await
                .expect("reading a file doesn't panic");
            read.and_then(|value| checked(value, limit))
        }
        SecretSource::Command(argv) => {
            let value = command::output(argv, root, environment, COMMAND_TIMEOUT).await?;
            checked(value, VALUE_LEN_MAX)
        }
    }
}

fn checked(mut value: Zeroizing<Vec<u8>>, limit: usize) -> Result<Zeroizing<Vec<u8>>, SecretReason> {
    if value.len() > limit {
        return Err(SecretReason::TooLong { limit });
    }
    if value.last() == Some(&b'\n') {
        value.pop();
        // A newline as Windows writes it is one newline, too.
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    Ok(value)
}

fn expand_home(path: &Path, environment: &IndexMap<String, String>) -> Result<PathBuf, SecretReason> {
    let Ok(below_home) = path.strip_prefix("~") else {
        return Ok(path.to_owned());
    };
    match environment.get("HOME") {
        Some(home) if !home.is_empty() => Ok(Path::new(home).join(below_home)),
        _ => Err(SecretReason::NoHome { path: path.to_owned() }),
    }
}

/// One byte more than is allowed, so that the caller can tell.
fn read_file(path: PathBuf) -> Result<Zeroizing<Vec<u8>>, SecretReason> {
    let read = |path: &Path| -> io::Result<Zeroizing<Vec<u8>>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut value = Zeroizing::new(Vec::new());
        file.take(VALUE_LEN_MAX as u64 + 1).read_to_end(&mut value)?;
        Ok(value)
    };
    read(&path).map_err(|error| SecretReason::File { path, error })
}

/// A command that fails may have printed another secret, as `set -x` does.
fn mask(errors: &mut [SecretError], masker: &Masker) {
    for error in errors {
        if let SecretError::Unreadable {
            reason: SecretReason::Failed { stderr, .. } | SecretReason::TimedOut { stderr, .. },
            ..
        } = error
        {
            *stderr = masker.text(stderr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::WeakSecret;

    fn map<const N: usize>(pairs: [(&str, &str); N]) -> IndexMap<String, String> {
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain([path]).collect()
    }

    fn shell(script: &str) -> SecretSource {
        SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    async fn read(
        source: SecretSource,
        root: &Path,
        environment: &IndexMap<String, String>,
    ) -> Result<Vec<u8>, String> {
        let sources = IndexMap::from([("x".to_owned(), source)]);
        let read = read_all(&sources, root, environment).await;
        read.map(|secrets| secrets.get("x").expect("declared").expose().to_vec())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[tokio::test]
    async fn each_source_gives_its_value() {
        let root = tempfile::tempdir().expect("a folder");
        let home = root.path().join("home");
        std::fs::create_dir(&home).expect("a folder");
        std::fs::write(root.path().join("token"), "hunter22\n\n").expect("written");
        std::fs::write(home.join("token"), "at-home\r\n").expect("written");
        let environment = map([("TOKEN", " from env\n"), ("HOME", home.to_str().expect("UTF-8"))]);
        let table: [(SecretSource, &[u8]); 7] = [
            (SecretSource::Env("TOKEN".into()), b" from env\n"),
            (SecretSource::File("token".into()), b"hunter22\n"),
            (SecretSource::File("~/token".into()), b"at-home"),
            (SecretSource::File(home.join("token")), b"at-home"),
            (shell("cat token; echo noise >&2"), b"hunter22\n"),
            (shell("printf 'a\\377bcdef'"), b"a\xffbcdef"),
            (shell("cat; printf %s \"$TOKEN\" | head -c 9"), b" from env"),
        ];
        for (source, expected) in table {
            let value = read(source.clone(), root.path(), &environment).await;
            assert_eq!(value.as_deref(), Ok(expected), "{source:?}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_the_value() {
        let root = tempfile::tempdir().expect("a folder");
        let shown = root.path().display().to_string();
        std::fs::write(root.path().join("long"), vec![b'x'; VALUE_LEN_MAX + 2]).expect("written");
        let environment = map([("SHORT", "abc"), ("EMPTY", "")]);
        let command =
            |argv: &[&str]| SecretSource::Command(argv.iter().map(|&word| word.to_owned()).collect());
        let table = [
            (
                SecretSource::Env("GONE".into()),
                "secret `x`: the environment variable GONE is not set".to_owned(),
            ),
            (SecretSource::Env("EMPTY".into()), "secret `x` is empty".to_owned()),
            (
                SecretSource::File("gone".into()),
                format!("secret `x`: can't read {shown}/gone: No such file or directory (os error 2)"),
            ),
            (SecretSource::File(".".into()), format!("secret `x`: can't read {shown}/.: is a directory")),
            (SecretSource::File("~/x".into()), "secret `x`: ~/x needs HOME, which is not set".to_owned()),
            (
                SecretSource::File("long".into()),
                "secret `x`: the value is longer than 1048576 bytes".to_owned(),
            ),
            (command(&[]), "secret `x`: the command is empty".to_owned()),
            (
                command(&["/no/such/program"]),
                "secret `x`: can't start /no/such/program: No such file or directory (os error 2)".to_owned(),
            ),
            (
                shell("echo hunter22; printf 'gpg: \\033[31mno key\\n\\n' >&2; exit 2"),
                "secret `x`: sh failed: exit status 2: gpg: ␛[31mno key".to_owned(),
            ),
            (shell("kill -9 $$"), "secret `x`: sh failed: signal 9".to_owned()),
            (shell("echo"), "secret `x` is empty".to_owned()),
            (shell("yes"), "secret `x`: the value is longer than 1048576 bytes".to_owned()),
        ];
        for (source, expected) in table {
            let error = read(source.clone(), root.path(), &environment).await.expect_err("can't be read");
            assert_eq!(error, expected, "{source:?}");
        }
        let short =
            read(SecretSource::Env("SHORT".into()), root.path(), &environment).await.expect_err("too short");
        assert!(short.starts_with("secret `x` has only 3 characters: ") && !short.contains("abc"), "{short}");
    }

    #[tokio::test]
    async fn all_errors_come_together_and_hold_no_other_secret() {
        let environment = map([("GOOD", "hunter22"), ("SHORT", "abc")]);
        let sources = IndexMap::from([
            ("failing".to_owned(), shell("echo \"tried $GOOD\" >&2; exit 1")),
            ("good".to_owned(), SecretSource::Env("GOOD".into())),
            ("gone".to_owned(), SecretSource::Env("GONE".into())),
            ("short".to_owned(), SecretSource::Env("SHORT".into())),
        ]);
        let errors = read_all(&sources, Path::new("/"), &environment).await.expect_err("three are wrong");
        let names: Vec<_> = errors.iter().map(SecretError::name).collect();
        assert_eq!(names, ["failing", "gone", "short"]);
        assert_eq!(errors[0].to_string(), "secret `failing`: sh failed: exit status 1: tried ‹secrets.good›");
        assert!(
            matches!(&errors[2], SecretError::Weak(WeakSecret::TooShort { characters: 3, .. })),
            "{errors:?}"
        );
    }
}
