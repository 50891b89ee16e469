//! What both ends of one socket say to each other, and the rules that hold for it whatever a test
//! is about.
//!
//! A frame of the gateway is exactly one message of the document. A frame of a client that is none
//! is not honoured: a call gets an error, a credential is refused.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Message;
use tollgate_proto::close::CloseCode;
use tollgate_proto::frame::{ClientFrame, ServerFrame};
use tollgate_proto::json::{Json, Limits};

use super::End;
use super::tap::Tap;
use crate::protocol::{self, Protocol};

/// A complaint shows so much of a frame.
const SHOWN: usize = 2_000;

pub(super) struct Exchange {
    protocol: &'static Protocol,
    client: Tap,
    gateway: Tap,
    /// The client has said something.
    asked: bool,
    /// For each credential that is not answered yet: whether its frame is as documented.
    auths: VecDeque<bool>,
    /// Last frames that may still come, by id.
    owed: HashMap<String, usize>,
    /// Ids under which a call came that is as documented: of several it is not known which one ran.
    sound: HashSet<String>,
    greeted: bool,
    /// The code of a `closing` frame.
    closing: Option<u64>,
    client_closed: bool,
}

impl Exchange {
    pub(super) fn new(protocol: &'static Protocol) -> Self {
        Self {
            protocol,
            client: Tap::new(End::Client),
            gateway: Tap::new(End::Gateway),
            asked: false,
            auths: VecDeque::new(),
            owed: HashMap::new(),
            sound: HashSet::new(),
            greeted: false,
            closing: None,
            client_closed: false,
        }
    }

    /// Takes bytes of one end.
    pub(super) fn take(&mut self, end: End, bytes: &[u8]) -> Result<(), String> {
        if end == End::Gateway && matches!(self.client, Tap::Passed) {
            return Ok(());
        }
        let tap = match end {
            End::Client => &mut self.client,
            End::Gateway => &mut self.gateway,
        };
        let (messages, broken) = tap.take(bytes);
        for message in messages {
            match end {
                End::Client => self.on_client(&message)?,
                End::Gateway => self.on_gateway(&message)?,
            }
        }
        match broken {
            // Clients of tests break what they like.
            Some(error) if end == End::Gateway => Err(format!("the gateway: {error}")),
            Some(_) | None => Ok(()),
        }
    }

    fn on_client(&mut self, message: &Message) -> Result<(), String> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Binary(bytes) => str::from_utf8(bytes).unwrap_or_default(),
            Message::Close(_) => {
                self.client_closed = true;
                return Ok(());
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
        };
        self.asked = true;
        let is_documented = || {
            let frame = serde_json::from_str(text).unwrap_or_default();
            self.protocol.client().iter().filter(|message| message.is(&frame)).count() == 1
        };
        match ClientFrame::parse(text, Limits::FRIEND) {
            Ok(ClientFrame::Auth(_)) => self.auths.push_back(is_documented()),
            Ok(ClientFrame::Call(call)) => {
                if is_documented() {
                    self.sound.insert(call.id.get().to_owned());
                }
                self.owe(Some(call.id));
            }
            Ok(ClientFrame::Cancel { .. } | ClientFrame::Ping { .. } | ClientFrame::Pong) => {
                if !is_documented() {
                    return Err(format!("a client may send this, and it is not there: {text}"));
                }
            }
            Ok(ClientFrame::Unknown { id }) => self.owe(id),
            Err(malformed) => self.owe(malformed.id),
        }
        Ok(())
    }

    fn owe(&mut self, id: Option<Json<'_>>) {
        if let Some(id) = id {
            *self.owed.entry(id.get().to_owned()).or_default() += 1;
        }
    }

    fn on_gateway(&mut self, message: &Message) -> Result<(), String> {
        let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
        match message {
            Message::Text(text) => {
                self.on_frame(text).map_err(|problem| format!("{problem}\n{}", shown(text)))
            }
            Message::Binary(_) => Err("the gateway sent a binary message".to_owned()),
            Message::Close(close) => self.on_close(close.as_ref().map(|close| close.code.into())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn on_frame(&mut self, text: &str) -> Result<(), String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_it = |message: &&protocol::Message| message.is(&json);
        let kinds: Vec<_> = self.protocol.server().iter().filter(is_it).collect();
        if kinds.len() != 1 {
            let names: Vec<_> = kinds.iter().map(|one| &one.name).collect();
            // The kind that it is least far from.
            let problems = self.protocol.server().iter().map(|one| one.problems(&json));
            let problems = problems.min_by_key(Vec::len).unwrap_or_default();
            return Err(format!("a frame that is {names:?} in docs/asyncapi.json: {problems:#?}"));
        }
        if !self.asked {
            return Err("a frame before the client has said anything".to_owned());
        }
        if self.closing.is_some() {
            return Err("a frame behind closing".to_owned());
        }
        match ServerFrame::parse(text).map_err(|error| error.to_string())? {
            ServerFrame::AuthOk(_) => {
                self.greeted = true;
                if self.auths.pop_front() != Some(true) {
                    return Err("a credential was taken from a frame that is not there".to_owned());
                }
            }
            ServerFrame::AuthFailed(_) => drop(self.auths.pop_front()),
            ServerFrame::Response { id, response, complete } => {
                let failed = response.get().starts_with(r#"{"error":"#);
                self.settle(id, complete)?;
                if !self.sound.contains(id.get()) && !failed {
                    return Err("a call was run from a frame that is not there".to_owned());
                }
            }
            ServerFrame::Error { id: Some(id), .. } => self.settle(id, true)?,
            ServerFrame::Notice(_) => self.closing = json["code"].as_u64(),
            ServerFrame::Error { id: None, .. } | ServerFrame::Pong => {}
            ServerFrame::Ping | ServerFrame::Unknown => return Err("an unknown frame".to_owned()),
        }
        Ok(())
    }

    /// A frame of an id: somebody asked, and there was no last one yet.
    fn settle(&mut self, id: &RawValue, complete: bool) -> Result<(), String> {
        match self.owed.get_mut(id.get()) {
            Some(owed) if *owed > 0 => {
                *owed -= usize::from(complete);
                Ok(())
            }
            Some(_) | None => Err("a frame of an id that is owed none".to_owned()),
        }
    }

    fn on_close(&self, code: Option<u16>) -> Result<(), String> {
        if self.client_closed {
            return Ok(());
        }
        let known = CloseCode::ALL.iter().any(|known| Some(known.code()) == code);
        if !known {
            return Err(format!("a close with the code {code:?}"));
        }
        let announced = self.greeted.then(|| code.map(u64::from)).flatten();
        if self.closing != announced {
            return Err(format!("a close with {code:?}, announced as {:?}", self.closing));
        }
        Ok(())
    }
}
