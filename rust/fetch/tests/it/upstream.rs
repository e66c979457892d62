//! A scripted upstream: says exactly what it is told to, and remembers what it was asked.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyregistry_fetch::{BodySource, Client, FetchError, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Start of `Range: bytes=START-` or `bytes=START-LAST`; 0 without one.
    pub(crate) fn offset(&self) -> usize {
        self.span().map_or(0, |(start, _)| start.parse().unwrap())
    }

    /// Where it ends, exclusively, in a body of `size` bytes.
    fn end(&self, size: usize) -> usize {
        let last = self.span().and_then(|(_, last)| last.parse::<usize>().ok());
        last.map_or(size, |last| size.min(last + 1))
    }

    fn span(&self) -> Option<(&str, &str)> {
        self.header("range").and_then(|value| value["bytes=".len()..].split_once('-'))
    }
}

/// What happens after the bytes of a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Keep,
    Close,
    Reset,
    Stall,
}

/// An answer, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    head: String,
    length: bool,
    body: Vec<u8>,
    cut: Option<usize>,
    end: End,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { head: format!("HTTP/1.1 {status} X\r\n"), length: true, body: Vec::new(), cut: None, end: End::Keep }
    }

    pub(crate) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        write!(self.head, "{name}: {value}\r\n").unwrap();
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// 206 of `content` from what `request` asks; 200 where it asks for no range.
    pub(crate) fn ranged(request: &Request, content: &[u8]) -> Self {
        let (start, end, size) = (request.offset(), request.end(content.len()), content.len());
        if request.span().is_none() {
            return Self::new(200).body(content);
        }
        if start >= size {
            return Self::new(416).header("Content-Range", format!("bytes */{size}"));
        }
        let range = format!("bytes {start}-{}/{size}", end - 1);
        Self::new(206).header("Content-Range", range).body(&content[start..end])
    }

    /// Chunked, so that no length is told.
    pub(crate) fn chunked(mut self) -> Self {
        self.length = false;
        self.header("Transfer-Encoding", "chunked")
    }

    /// Sends only `count` bytes of the body, then closes.
    pub(crate) fn cut(mut self, count: usize) -> Self {
        (self.cut, self.end) = (Some(count), End::Close);
        self
    }

    /// Sends only `count` bytes of the body, then resets the connection.
    pub(crate) fn reset(self, count: usize) -> Self {
        Self { end: End::Reset, ..self.cut(count) }
    }

    /// Sends only `count` bytes of the body, then nothing any more.
    pub(crate) fn stall(self, count: usize) -> Self {
        Self { end: End::Stall, ..self.cut(count) }
    }

    /// Instead of an answer: these bytes.
    pub(crate) fn raw(bytes: &str) -> Self {
        Self { head: bytes.to_owned(), length: false, body: Vec::new(), cut: Some(0), end: End::Close }
    }

    /// No answer at all.
    pub(crate) fn silence() -> Self {
        Self { end: End::Stall, ..Self::raw("") }
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        if self.length {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        if !self.head.starts_with("HTTP") {
            return bytes;
        }
        bytes.extend(b"\r\n");
        if method == "HEAD" {
            return bytes;
        }
        let sent = &self.body[..self.cut.unwrap_or(self.body.len())];
        if self.length {
            bytes.extend(sent);
            return bytes;
        }
        for piece in sent.chunks(1000) {
            bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        if self.cut.is_none() {
            bytes.extend(b"0\r\n\r\n");
        }
        bytes
    }
}

type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// A listening upstream; ends with the test's runtime.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Upstream {
    /// `script` answers a request, given how many came before it.
    pub(crate) async fn new(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, script.clone(), log.clone()));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The Range header of every request.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.seen().iter().map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

async fn connection(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = read_request(&mut stream).await {
        let before = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let reply = script(&request, before);
        if stream.write_all(&reply.bytes(&request.method)).await.is_err() {
            return;
        }
        match reply.end {
            End::Keep => {}
            End::Close => return,
            End::Stall => {
                // Until the client gives up.
                let _ = stream.read(&mut [0; 1]).await;
                return;
            }
            End::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let (method, path) = (first.next()?, first.next()?);
    let mut request = Request { method, path, headers, body: bytes[end..].to_vec() };
    let length = request.header("content-length").map_or(0, |value| value.parse().unwrap());
    while request.body.len() < length {
        stream.read_buf(&mut request.body).await.ok()?;
    }
    Some(request)
}

/// A client that is patient with a busy machine.
pub(crate) fn client() -> Client {
    waiting(Duration::from_secs(20))
}

/// A client for upstreams that stall on purpose.
pub(crate) fn hasty() -> Client {
    waiting(Duration::from_millis(300))
}

fn waiting(progress_timeout: Duration) -> Client {
    let first_pause = Duration::from_millis(1);
    Client::new(Settings { progress_timeout, first_pause, ..Settings::new("pyregistry-test") }).unwrap()
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Bytes that tell their place.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

/// The rest of a begun body.
pub(crate) async fn rest(source: &mut BodySource) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    while let Some(piece) = source.next().await? {
        assert!(!piece.is_empty(), "an empty piece looks like an end");
        bytes.extend(piece);
    }
    Ok(bytes)
}
