//! A connection that is kept, on which an admin posts and looks whether the answer has come.
//!
//! Never: a wait that the owner did not ask for. A look is a call of the operating system each
//! time, so what has come is seen.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// Where operations of IAM go.
pub(crate) const IAM: &str = "/api/v1/iam";

/// One of an admin's.
pub(crate) struct Line {
    stream: TcpStream,
    address: SocketAddr,
    token: String,
    heard: Vec<u8>,
}

impl Line {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, address, token: token.to_owned(), heard: Vec::new() })
    }

    /// Posts. Nothing may be under way.
    pub(crate) fn ask(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        let (body, Self { address, token, .. }) = (body.to_string(), &self);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.heard.clear();
        // It is far smaller than the buffer of the socket, in which nothing else is.
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// The answer, if all of it has come.
    pub(crate) fn answer(&mut self) -> anyhow::Result<Option<Value>> {
        let mut part = [0; 4_096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => bail!("the gateway hung up on an admin"),
                Ok(length) => self.heard.extend(part.iter().take(length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let Some(body) = whole_body(std::str::from_utf8(&self.heard)?)? else { return Ok(None) };
        let answer: Value = serde_json::from_str(body)?;
        ensure!(answer.get("error").is_none(), "an operation was refused: {answer}");
        Ok(Some(answer))
    }

    /// Posts, and waits for the answer.
    pub(crate) fn call(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(path, body)?;
        loop {
            if let Some(answer) = self.answer()? {
                return Ok(answer);
            }
            let ready = poll(&mut [self.interest()], Some(&PATIENCE))?;
            ensure!(ready > 0, "no answer came to {body}");
        }
    }

    /// For waiting until something comes.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The body of an answer that is there as a whole.
fn whole_body(answer: &str) -> anyhow::Result<Option<&str>> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Ok(None) };
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.with_context(|| format!("an answer without a length: {head}"))??;
    ensure!(status.contains(" 200 "), "{status}: {body}");
    Ok((body.len() >= length).then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_not_there() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(whole_body("HTTP/1.1 200 OK\r\ncontent-le").unwrap(), None);
        assert_eq!(whole_body(&format!("{head}{{")).unwrap(), None);
        assert_eq!(whole_body(&format!("{head}{{}}")).unwrap(), Some("{}"));
        assert!(whole_body(&head.replace("200 OK", "403 Forbidden")).is_err());
    }
}
