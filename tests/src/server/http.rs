//! As much of HTTP/1.1 as the servers need, and some of its failures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A request.
pub(super) struct Request {
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    /// Reads one request; `None` when the connection ends before it does.
    pub(super) fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            path,
            headers,
            body: String::new(),
        };
        let length = request.header("content-length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).ok()?;
        Some(request)
    }

    /// A header's value; empty when it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// How an answer reaches the client.
#[derive(PartialEq)]
enum Delivery {
    Whole,
    /// The connection closes in the middle of the body.
    Half,
    /// Nothing ever comes.
    Never,
}

/// An answer.
pub(super) struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delivery: Delivery,
}

impl Response {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            delivery: Delivery::Whole,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).with("Content-Type", "application/json")
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same answer, of which only half arrives.
    pub(super) fn half(mut self) -> Self {
        self.delivery = Delivery::Half;
        self
    }

    /// No answer.
    pub(super) fn never() -> Self {
        let mut response = Self::new(0, "");
        response.delivery = Delivery::Never;
        response
    }

    /// A word for the journal.
    pub(super) fn describe(&self) -> String {
        match self.delivery {
            Delivery::Whole => self.status.to_string(),
            Delivery::Half => "half".to_owned(),
            Delivery::Never => "never".to_owned(),
        }
    }

    pub(super) fn send(self, mut stream: &TcpStream) {
        if self.delivery == Delivery::Never {
            std::thread::sleep(Duration::from_secs(3600));
        }
        let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let body = match self.delivery {
            Delivery::Half => &self.body[..self.body.len() / 2],
            _ => &self.body,
        };
        // A client that hung up has what it wanted.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
        let _ = stream.flush();
    }
}
