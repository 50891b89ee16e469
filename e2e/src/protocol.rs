//! `docs/asyncapi.json`: which frames there are, and what they look like.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, with a validator for each message.
pub struct Protocol {
    /// As it stands in the file.
    pub json: Value,
    client: Vec<Message>,
    server: Vec<Message>,
}

/// A kind of frame.
pub struct Message {
    /// Its name in the document.
    pub name: String,
    /// The `type` that it must have, if it must have one: most frames are told apart by it alone.
    kind: Option<String>,
    validator: Validator,
}

impl Message {
    /// Whether a frame is one of these.
    pub fn is(&self, frame: &Value) -> bool {
        let other = self.kind.as_ref().is_some_and(|kind| frame["type"] != **kind);
        !other && self.validator.is_valid(frame)
    }

    /// Why a frame is none of these.
    pub fn problems(&self, frame: &Value) -> Vec<String> {
        let told = |error: jsonschema::ValidationError<'_>| {
            format!("{}: {}: {error}", self.name, error.instance_path())
        };
        self.validator.iter_errors(frame).map(told).collect()
    }
}

impl Protocol {
    /// Where it lies.
    pub fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/asyncapi.json")
    }

    /// The document, read once.
    ///
    /// # Errors
    /// It is no such document.
    pub fn read() -> anyhow::Result<&'static Self> {
        static READ: OnceLock<Protocol> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read);
        }
        let json = serde_json::from_str(&std::fs::read_to_string(Self::path())?)?;
        let made = Self::of(json)?;
        Ok(READ.get_or_init(|| made))
    }

    fn of(json: Value) -> anyhow::Result<Self> {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        for operation in json["operations"].as_object().context("no operations")?.values() {
            // From the view of the gateway.
            let direct = if operation["action"] == "receive" { &mut client } else { &mut server };
            direct.extend(references(&operation["messages"]));
            server.extend(references(&operation["reply"]["messages"]));
        }
        let messages = |names: Vec<&str>| {
            let mut names = names;
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(|name| message(&json, name)).collect::<anyhow::Result<Vec<_>>>()
        };
        let (client, server) = (messages(client)?, messages(server)?);
        Ok(Self { json, client, server })
    }

    /// What a client may send.
    pub fn client(&self) -> &[Message] {
        &self.client
    }

    /// What the gateway may send.
    pub fn server(&self) -> &[Message] {
        &self.server
    }
}

/// The names behind references to messages of the channel.
fn references(list: &Value) -> impl Iterator<Item = &str> {
    let targets = list.as_array().into_iter().flatten().filter_map(|one| one["$ref"].as_str());
    targets.filter_map(|target| target.strip_prefix("#/channels/socket/messages/"))
}

fn message(json: &Value, name: &str) -> anyhow::Result<Message> {
    let payload = &json["components"]["messages"][name]["payload"];
    let schemas = &json["components"]["schemas"];
    let target = payload["$ref"].as_str().and_then(|to| json.pointer(to.strip_prefix('#')?));
    let schema = target.with_context(|| format!("{name} has no schema"))?;
    let kind = schema["properties"]["type"]["const"].as_str().map(str::to_owned);
    let whole = json!({ "allOf": [payload], "components": { "schemas": schemas } });
    // The dialect of AsyncAPI.
    let options = jsonschema::draft7::options().should_validate_formats(true);
    let validator = options.build(&whole).map_err(|error| anyhow!("{name}: {error}"))?;
    Ok(Message { name: name.to_owned(), kind, validator })
}
