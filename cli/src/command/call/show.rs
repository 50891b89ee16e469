//! How responses are shown: text as text, the rest as JSON.
//!
//! In: the responses of one call, in order. Out: data on stdout, each as it comes.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::Output;

/// Where services put the text of an answer, in the order in which clients look.
const TEXT_KEYS: [&str; 4] = ["response", "content", "chunk", "text"];

pub(super) struct Show<'a> {
    output: &'a Output,
    as_json: bool,
    has_text: bool,
    /// The text so far does not end with its line.
    is_line_open: bool,
}

/// What one response is worth.
enum Shown {
    Text(String),
    Json(String),
    Nothing,
}

impl<'a> Show<'a> {
    pub(super) fn new(output: &'a Output, as_json: bool) -> Self {
        Self { output, as_json, has_text: false, is_line_open: false }
    }

    /// One response.
    pub(super) fn response(&mut self, response: &RawValue) -> anyhow::Result<()> {
        if self.as_json {
            return self.output.line(&one_line(response));
        }
        match shown(response, self.has_text) {
            Shown::Nothing => Ok(()),
            Shown::Json(json) => self.output.line(&json),
            Shown::Text(text) => {
                self.has_text = true;
                if !text.is_empty() {
                    self.is_line_open = !text.ends_with('\n');
                }
                self.output.text(&text)
            }
        }
    }

    /// After the last one: text ends with its line.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_line_open) {
            self.output.line("")?;
        }
        Ok(())
    }
}

/// After text, a response without one tells of the stream and not of the answer.
fn shown(response: &RawValue, after_text: bool) -> Shown {
    let Ok(value) = serde_json::from_str::<Value>(response.get()) else {
        return Shown::Json(response.get().to_owned());
    };
    let text = TEXT_KEYS.iter().find_map(|key| value.get(key)?.as_str());
    match (text, after_text) {
        (Some(text), _) => Shown::Text(text.to_owned()),
        (None, true) => Shown::Nothing,
        (None, false) => Shown::Json(format!("{value:#}")),
    }
}

/// JSON may hold line ends between its tokens, and nowhere else.
fn one_line(response: &RawValue) -> String {
    response.get().replace(['\n', '\r'], " ")
}
