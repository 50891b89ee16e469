//! The document, and what it says about a request and an answer.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};
use tollgate_e2e::raw::Answer;

/// Headers that HTTP itself needs; every other one must be documented.
const PLAIN: [&str; 5] =
    ["connection", "content-length", "content-type", "date", "transfer-encoding"];

/// `docs/openapi.json`.
pub(super) struct Document {
    pub(super) json: Value,
    /// Made once each, by the text of the schema.
    validators: RefCell<HashMap<String, Validator>>,
}

impl Document {
    pub(super) fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
    }

    pub(super) fn read() -> anyhow::Result<Self> {
        let json = serde_json::from_str(&std::fs::read_to_string(Self::path())?)?;
        Ok(Self { json, validators: RefCell::default() })
    }

    /// Every route, like `POST /api/v1/iam`, with each status that it may answer.
    pub(super) fn routes(&self) -> BTreeSet<(String, u16)> {
        let mut routes = BTreeSet::new();
        for (path, item) in members(&self.json["paths"]) {
            for method in ["get", "post", "put", "delete", "patch", "head", "options", "trace"] {
                let route = format!("{} {path}", method.to_uppercase());
                let statuses = members(&item[method]["responses"]);
                // What is no number is never seen, and told by the test that compares the two.
                routes.extend(statuses.map(|(s, _)| (route.clone(), s.parse().unwrap_or(0))));
            }
        }
        routes
    }

    /// What stands under a route.
    pub(super) fn operation(&self, route: &str) -> &Value {
        let (method, path) = route.split_once(' ').unwrap_or_default();
        &self.json["paths"][path][method.to_lowercase()]
    }

    /// The schema of that name.
    pub(super) fn schema(&self, name: &str) -> &Value {
        &self.json["components"]["schemas"][name]
    }

    /// What a reference leads to, or the value itself.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|to| self.json.pointer(to.strip_prefix('#')?));
        target.map_or(value, |target| self.resolve(target))
    }

    /// The schema of an operation of IAM.
    pub(super) fn iam_operation(&self, name: &str) -> &Value {
        let mapping = &self.schema("IamRequest")["discriminator"]["mapping"];
        let schema = mapping[name].as_str().and_then(|to| self.json.pointer(to.strip_prefix('#')?));
        schema.unwrap_or(&Value::Null)
    }

    /// Whether a value is what a schema says.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> anyhow::Result<()> {
        let mut validators = self.validators.borrow_mut();
        let validator = match validators.entry(schema.to_string()) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(self.validator(schema)?),
        };
        let problems: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        ensure!(problems.is_empty(), "{value}\nis not what the document says:\n{problems:#?}");
        Ok(())
    }

    fn validator(&self, schema: &Value) -> anyhow::Result<Validator> {
        let schemas = &self.json["components"]["schemas"];
        let whole = json!({ "allOf": [schema], "components": { "schemas": schemas } });
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&whole).map_err(|error| anyhow::anyhow!("{schema}: {error}"))
    }

    /// Whether a body may be sent on a route.
    pub(super) fn check_request(&self, route: &str, body: &Value) -> anyhow::Result<()> {
        let content = &self.operation(route)["requestBody"]["content"];
        self.check(&content["application/json"]["schema"], body)
    }

    /// Whether an answer may come on a route.
    pub(super) fn check_answer(&self, route: &str, answer: &Answer) -> anyhow::Result<()> {
        let documented = &self.operation(route)["responses"][answer.status.to_string()];
        ensure!(!documented.is_null(), "{route} answers {answer:?}, and no such status is there");
        let documented = self.resolve(documented);
        self.check_headers(&documented["headers"], answer).with_context(|| route.to_owned())?;
        let Some(content) = documented["content"].as_object() else {
            ensure!(answer.body.is_empty(), "{route}: a body that is not there: {answer:?}");
            return Ok(());
        };
        let sent = answer.headers.get("content-type").context("no Content-Type")?;
        let kind = sent.split(';').next().unwrap_or_default();
        let media = content.get(kind).with_context(|| format!("{route}: {sent} is not there"))?;
        let body = match kind {
            "application/json" => serde_json::from_str(&answer.body)?,
            _ => json!(answer.body),
        };
        self.check(&media["schema"], &body).with_context(|| format!("{route} {}", answer.status))
    }

    /// Whether the answer of an operation of IAM is the one that this operation has, JSON in texts
    /// included.
    pub(super) fn check_reply(&self, operation: &str, reply: &Value) -> anyhow::Result<()> {
        let named = self.iam_operation(operation)["x-reply"].as_str();
        let named = named.with_context(|| format!("{operation} has no x-reply, and was done"))?;
        let is_rehearsal = reply.get("dry_run").is_some();
        let named = if is_rehearsal { "#/components/schemas/DryRunReply" } else { named };
        self.check(&json!({ "$ref": named }), reply).with_context(|| operation.to_owned())?;
        let schema = json!({ "$ref": named });
        for (name, property) in members(&self.resolve(&schema)["properties"]) {
            if let (Some(text), Some(inner)) = (reply[name].as_str(), property.get("contentSchema"))
            {
                self.check(inner, &serde_json::from_str(text)?).with_context(|| name.to_owned())?;
            }
        }
        Ok(())
    }

    fn check_headers(&self, documented: &Value, answer: &Answer) -> anyhow::Result<()> {
        let mut known: BTreeSet<String> = PLAIN.map(str::to_owned).into();
        for (name, header) in members(documented) {
            let (name, header) = (name.to_ascii_lowercase(), self.resolve(header));
            let Some(value) = answer.headers.get(&name) else {
                ensure!(header["required"] != true, "no header {name}");
                known.insert(name);
                continue;
            };
            let value = match header["schema"]["type"].as_str() {
                Some("integer") => serde_json::from_str(value)?,
                _ => json!(value),
            };
            self.check(&header["schema"], &value).context(name.clone())?;
            known.insert(name);
        }
        for name in answer.headers.keys() {
            ensure!(known.contains(name), "a header that is not there: {name}");
        }
        Ok(())
    }
}

/// The members of an object; none of anything else.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
