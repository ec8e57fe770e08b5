//! The parameters of a request: each is taken once and read strictly, and what nobody took is refused.

use super::refusal::Refusal;

/// Parameters of the address and of a form body together.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub fn read(query: &str, body: &[u8]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let both = url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(body));
        for (name, value) in both {
            if pairs.iter().any(|(other, _)| *other == name) {
                let message = format!("Received a parameter twice: {name}");
                return Err(Refusal::request(None, Some(&name), message));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                Err(Refusal::request(Some("parameter_invalid"), Some(name), format!("Invalid boolean: {other}")))
            }
        }
    }

    pub fn number(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let invalid = |text: String| {
            Refusal::request(Some("parameter_invalid_integer"), Some(name), format!("Invalid integer: {text}"))
        };
        self.text(name).map(|text| text.parse().map_err(|_| invalid(text))).transpose()
    }

    /// Everything has to have been taken.
    pub fn end(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("Received unknown parameter: {name}");
                Err(Refusal::request(Some("parameter_unknown"), Some(name), message))
            }
        }
    }
}
