//! SSH signatures over answers: made and checked by the user's own `ssh-keygen -Y` (engine.md §5).
//!
//! What is signed is a statement of all that the answer says and of what it answers: run, step, the question's nonce, the digest of
//! what was shown, word, items, reason, fields and evidence. So a signature fits one question of one run, and nothing else can be
//! said with it. Who signed is whose key it is: the keys are those that the plan has frozen.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook_core::plan::People;
use serde::Serialize;

use crate::store::inbox::AnswerFile;

/// The namespace of the signatures, so that none that was made for something else counts.
const NAMESPACE: &str = "runbook-approval";

/// Why an answer can't be signed, or why a signature doesn't count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// No key of this user is listed.
    #[error(
        "no key of the agent or of ~/.ssh is listed under `people` in project.yaml; name one with --sign=KEYFILE"
    )]
    NoKey,
    /// `ssh-keygen` would not sign.
    #[error("ssh-keygen can't sign with {}: {why}", .key.display())]
    NotSigned {
        /// The key.
        key: PathBuf,
        /// What it said.
        why: String,
    },
    /// The signature isn't by a key that counts, or not over this answer.
    #[error(
        "the signature is by no key that project.yaml listed when the run was planned, or is not over this answer"
    )]
    Unknown,
    /// `ssh-keygen` can't be run, or its files can't be written.
    #[error("ssh-keygen can't be used: {0}")]
    Tool(#[from] std::io::Error),
}

/// What is signed, in this order.
#[derive(Serialize)]
struct Statement<'a> {
    run: &'a str,
    step: &'a str,
    nonce: &'a str,
    digest: &'a str,
    answer: &'a str,
    items: &'a [u32],
    reason: Option<&'a str>,
    fields: &'a indexmap::IndexMap<String, serde_json::Value>,
    evidence: &'a [runbook_core::event::Evidence],
}

/// The bytes that a signature of an answer is over: one line of JSON.
#[must_use]
pub fn statement(answer: &AnswerFile) -> Vec<u8> {
    let statement = Statement {
        run: answer.run.as_str(),
        step: answer.step.as_str(),
        nonce: &answer.nonce,
        digest: &answer.digest,
        answer: &answer.word,
        items: &answer.items,
        reason: answer.reason.as_deref(),
        fields: &answer.fields,
        evidence: &answer.evidence,
    };
    let mut bytes =
        serde_json::to_vec(&statement).expect("a statement is plain data: its maps have text keys");
    bytes.push(b'\n');
    bytes
}

/// Signs an answer with a key file (private, or public where the agent holds the private one), or with the first key of the agent or
/// of `~/.ssh` that these people list.
///
/// # Errors
/// Where there is no such key, or `ssh-keygen` refuses.
pub fn sign(
    answer: &AnswerFile,
    key: Option<&Path>,
    people: &People,
    home: Option<&Path>,
) -> Result<String, SignatureError> {
    let folder = tempfile::tempdir()?;
    let key = match key {
        Some(key) => key.to_owned(),
        None => own_key(people, home, folder.path())?,
    };
    let output = run(
        Command::new("ssh-keygen").args(["-Y", "sign", "-n", NAMESPACE, "-f"]).arg(&key),
        &statement(answer),
    )?;
    let signature = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
        return Ok(signature);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why =
        said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim().to_owned();
    Err(SignatureError::NotSigned { key, why })
}

/// The first own key that is listed: of the agent, then of `~/.ssh`.
fn own_key(people: &People, home: Option<&Path>, folder: &Path) -> Result<PathBuf, SignatureError> {
    let listed =
        |key: &str| body(key).is_some_and(|key| all_keys(people).any(|(_, known)| body(known) == Some(key)));
    let agent = Command::new("ssh-add").arg("-L").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let agent = agent.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if let Some(key) = agent.lines().find(|line| listed(line)) {
        // A public key names the one of the agent's that is to sign.
        let path = folder.join("key.pub");
        std::fs::write(&path, format!("{key}\n"))?;
        return Ok(path);
    }
    let Some(home) = home else { return Err(SignatureError::NoKey) };
    let mut found: Vec<PathBuf> = std::fs::read_dir(home.join(".ssh"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pub"))
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|key| listed(key.trim())))
        .map(|path| path.with_extension(""))
        .collect();
    found.sort();
    found.into_iter().next().ok_or(SignatureError::NoKey)
}

/// The person whose key has signed an answer.
///
/// # Errors
/// [`SignatureError::Unknown`] where it is nobody's of these people, or over something else.
pub fn signer(answer: &AnswerFile, signature: &str, people: &People) -> Result<String, SignatureError> {
    let folder = tempfile::tempdir()?;
    let (allowed, file) = (folder.path().join("allowed"), folder.path().join("signature"));
    // Names of people are no patterns of `ssh-keygen`'s: numbers stand for them.
    let mut lines = String::new();
    let mut names = Vec::new();
    for (name, key) in all_keys(people) {
        let Some((kind, blob)) = body(key) else { continue };
        lines.push_str(&format!("key{} namespaces=\"{NAMESPACE}\" {kind} {blob}\n", names.len()));
        names.push(name);
    }
    std::fs::write(&allowed, lines)?;
    std::fs::write(&file, signature)?;
    let found = run(
        Command::new("ssh-keygen").args(["-Y", "find-principals", "-s"]).arg(&file).arg("-f").arg(&allowed),
        &[],
    )?;
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    let principal = said.lines().next().unwrap_or_default().trim();
    let number: Option<usize> = principal.strip_prefix("key").and_then(|number| number.parse().ok());
    let Some(name) = number.and_then(|number| names.get(number)).filter(|_| found.status.success()) else {
        return Err(SignatureError::Unknown);
    };
    let verified = run(
        Command::new("ssh-keygen")
            .args(["-Y", "verify", "-n", NAMESPACE, "-I", principal, "-s"])
            .arg(&file)
            .arg("-f")
            .arg(&allowed),
        &statement(answer),
    )?;
    if verified.status.success() { Ok((*name).to_owned()) } else { Err(SignatureError::Unknown) }
}

fn all_keys(people: &People) -> impl Iterator<Item = (&str, &str)> {
    people
        .people
        .iter()
        .flat_map(|(name, person)| person.ssh_keys.iter().map(move |key| (name.as_str(), key.as_str())))
}

/// The type and content of a public key, without its comment.
fn body(key: &str) -> Option<(&str, &str)> {
    let mut words = key.split_ascii_whitespace();
    Some((words.next()?, words.next()?))
}

/// Runs a command to its end with this on its standard input.
fn run(command: &mut Command, input: &[u8]) -> std::io::Result<std::process::Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who doesn't read to the end says so by its status.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}
