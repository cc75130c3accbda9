//! What stands in the place of a secret, and how it is recognised later.

const OPEN: &str = "‹secrets.";
const CLOSE: char = '›';

/// The text that replaces the secret `name` wherever it is found: `‹secrets.NAME›`, in the same brackets as every other value
/// that a person isn't shown (`‹steps.x.stdout›`).
pub fn mask_of(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The name of the first secret whose mask stands in `text`.
///
/// A recorded value is masked for good; using it in a command, request or environment would send the mask where the secret was
/// meant, so the language makes that an error that names the secret (language.md §7).
pub fn find_mask(text: &str) -> Option<&str> {
    text.match_indices(OPEN).find_map(|(at, _)| {
        let rest = &text[at + OPEN.len()..];
        let name = &rest[..rest.find(CLOSE)?];
        is_name(name).then_some(name)
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_found_again_by_name() {
        let table = [
            ("postgres://u:‹secrets.db›@h/x", Some("db")),
            ("‹secrets.a b› ‹secrets.slack-url›", Some("slack-url")),
            ("‹secrets.›", None),
            ("‹secrets.db", None),
            ("‹steps.x.stdout› secrets.db", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(find_mask(text), expected, "{text}");
        }
        assert_eq!(find_mask(&mask_of("db_2")), Some("db_2"));
    }
}
