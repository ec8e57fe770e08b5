//! The `[notify]` table: whom to tell how scheduled runs go.

use toml::de::DeTable;

use super::sql_source::{expanded, has_password};
use crate::document::Document;
use crate::pipeline::MaxRejects;
use crate::schedule::NotifySettings;

/// The table as it was written. What its variables stand for is looked up when somebody is to be told: `run` and `plan` read
/// the same file, and need not know the address.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifyWritten {
    /// The webhook's address, in which `${NAME}` stands for an environment variable.
    url: String,
    /// Rejects above which a run that came to its end is told of.
    rejects_above: Option<MaxRejects>,
}

/// An environment variable that the webhook's address names is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`[notify] url` names the environment variable {0}, which is not set")]
pub struct MissingVariable(pub String);

impl NotifyWritten {
    /// Reads the table; none where there is none.
    pub(super) fn read(document: &mut Document<'_>, top: &DeTable<'_>) -> Option<Self> {
        let (_, span) = top.get_key_value("notify").map(|(key, item)| (key, item.span()))?;
        let table = document.table(top, "notify")?;
        document.known_keys(table, &["url", "rejects_above"], "`[notify]`");
        let rejects_above = super::pipeline_file::bound_on_rejects(document, table, "rejects_above");
        let Some(url) = document.string(table, "url") else {
            if !table.contains_key("url") {
                document.problem(span, "`[notify]` has no `url`");
            }
            return None;
        };
        if has_password(&url.text) {
            let hint = "put the address into an environment variable and write \"${WEBHOOK_URL}\"";
            document.secret(url.span, "passwords do not belong into a file that is shared", hint);
        }
        Some(Self { url: url.text, rejects_above })
    }

    /// With its variables replaced.
    ///
    /// # Errors
    ///
    /// [`MissingVariable`].
    pub fn settings(&self) -> Result<NotifySettings, MissingVariable> {
        let url = expanded(&self.url).map_err(MissingVariable)?;
        Ok(NotifySettings { url, rejects_above: self.rejects_above })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret as _;

    use super::super::parse;
    use super::*;

    fn told(notify: &str) -> String {
        let text = format!("{notify}\n[[step]]\n");
        parse("p.toml", &text, Path::new("")).expect_err("it has no step that holds").to_string()
    }

    #[test]
    fn what_is_wrong_in_the_table_is_told_with_its_place() {
        assert!(told("[notify]\nurl = 5").contains("p.toml:2:7: `url` is a text"), "{}", told("[notify]\nurl = 5"));
        assert!(told("[notify]\nrejects_above = 5").contains("p.toml:1:1: `[notify]` has no `url`"));
        let wrong = told("[notify]\nurl = \"https://example.com\"\nrejects_above = \"many\"\nto = 1");
        assert!(wrong.contains("p.toml:3:17: `many` is neither a number of rejects"), "{wrong}");
        assert!(wrong.contains("p.toml:4:1: `[notify]` has no key `to`"), "{wrong}");
        let secret = told("[notify]\nurl = \"https://me:hunter2@example.com\"");
        assert!(secret.contains("passwords do not belong") && !secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn a_variable_is_looked_up_when_somebody_is_to_be_told() {
        let written = |url: &str| NotifyWritten { url: url.to_owned(), rejects_above: None };
        let missing = written("https://example.com/${STIGG_IMPORT_NO_SUCH_VARIABLE}").settings().expect_err("not set");
        assert_eq!(missing, MissingVariable("STIGG_IMPORT_NO_SUCH_VARIABLE".to_owned()));
        let settings = written("https://example.com/hook").settings().expect("it has no variable");
        assert_eq!(settings.url.expose_secret(), "https://example.com/hook");
    }
}
