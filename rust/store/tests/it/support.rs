//! Roots, blobs, and sources whose every step the test decides.

use std::time::Duration;

use bytes::Bytes;
use pyregistry_store::{Begun, Cause, Config, Digest, Failure, Plan, Reader, Source, Store};
use sha2::Digest as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// A wait that only a hanging test reaches.
const HANGING: Duration = Duration::from_secs(20);

/// A root of its own, opened as often as a test has processes.
pub(crate) struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> Config {
        Config { reserve: 0, ..Config::new(self.path()) }
    }

    /// Two stores on one root are to each other what two processes are.
    pub(crate) fn store(&self) -> Store {
        Store::open(self.config(), Handle::current()).unwrap()
    }

    /// Every committed blob hashes to its name (I1).
    pub(crate) fn check(&self) {
        for algorithm in std::fs::read_dir(self.path().join("blobs")).unwrap() {
            for shard in std::fs::read_dir(algorithm.unwrap().path()).unwrap() {
                for blob in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                    let path = blob.unwrap().path();
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    let bytes = std::fs::read(&path).unwrap();
                    let (one, other) = (hex(&sha2::Sha256::digest(&bytes)), hex(&sha2::Sha512::digest(&bytes)));
                    assert!(name == one || name == other, "{name}");
                }
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that no two blocks share.
pub(crate) fn blob(size: usize) -> Vec<u8> {
    let mut word = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::parse(&format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)))).unwrap()
}

pub(crate) fn sha512_of(bytes: &[u8]) -> Digest {
    Digest::parse(&format!("sha512:{}", hex(&sha2::Sha512::digest(bytes)))).unwrap()
}

/// What a scripted source is told to do.
enum Step {
    Begin(Result<Begun, Failure>),
    Piece(Result<Option<Bytes>, Failure>),
}

/// The hand that moves a [`Scripted`] source.
pub(crate) struct Hand {
    steps: mpsc::UnboundedSender<Step>,
    asked: mpsc::UnboundedReceiver<u64>,
}

/// A source that does only what its [`Hand`] says.
pub(crate) struct Scripted {
    steps: mpsc::UnboundedReceiver<Step>,
    asked: mpsc::UnboundedSender<u64>,
}

pub(crate) fn scripted() -> (Hand, Scripted) {
    let (steps, receiver) = mpsc::unbounded_channel();
    let (sender, asked) = mpsc::unbounded_channel();
    (Hand { steps, asked }, Scripted { steps: receiver, asked: sender })
}

impl Hand {
    /// The offset that the fill asks for next.
    pub(crate) async fn asked(&mut self) -> u64 {
        soon(self.asked.recv()).await.unwrap()
    }

    pub(crate) fn begins(&self, size: Option<u64>) {
        let _ = self.steps.send(Step::Begin(Ok(Begun { size, whole: false })));
    }

    pub(crate) fn refuses(&self, failure: Failure) {
        let _ = self.steps.send(Step::Begin(Err(failure)));
    }

    pub(crate) fn sends(&self, bytes: &[u8]) {
        let _ = self.steps.send(Step::Piece(Ok(Some(Bytes::copy_from_slice(bytes)))));
    }

    pub(crate) fn ends(&self) {
        let _ = self.steps.send(Step::Piece(Ok(None)));
    }

    pub(crate) fn breaks(&self) {
        let _ = self.steps.send(Step::Piece(Err(Failure::new(Cause::Unreachable, "cut"))));
    }
}

impl Source for Scripted {
    type Fork = Self;

    async fn begin_range(&mut self, _: u64, _: u64) -> Result<Begun, Failure> {
        panic!("it has no ranges")
    }

    fn stop(&mut self) {}

    fn fork(&self) -> Option<Self> {
        None
    }

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        let _ = self.asked.send(offset);
        match self.steps.recv().await {
            Some(Step::Begin(answer)) => answer,
            Some(Step::Piece(_)) => panic!("a piece before the source began"),
            None => std::future::pending().await,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self.steps.recv().await {
            Some(Step::Piece(piece)) => piece,
            Some(Step::Begin(_)) => panic!("begun twice"),
            None => std::future::pending().await,
        }
    }
}

/// A source that has a blob and gives it in pieces, from any offset; cut after so many bytes if told so.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) piece: usize,
    pub(crate) cut_at: Option<usize>,
    pub(crate) begun: Vec<u64>,
    position: usize,
}

impl Whole {
    pub(crate) fn new(bytes: &[u8], piece: usize) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), piece, cut_at: None, begun: Vec::new(), position: 0 }
    }
}

impl Source for Whole {
    type Fork = Self;

    async fn begin_range(&mut self, _: u64, _: u64) -> Result<Begun, Failure> {
        panic!("it has no ranges")
    }

    fn stop(&mut self) {}

    fn fork(&self) -> Option<Self> {
        None
    }

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        self.begun.push(offset);
        self.position = usize::try_from(offset).unwrap();
        Ok(Begun { size: Some(self.bytes.len() as u64), whole: false })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.cut_at.is_some_and(|cut| self.position >= cut) {
            return Err(Failure::new(Cause::Unreachable, "cut"));
        }
        let end = (self.position + self.piece).min(self.bytes.len());
        let piece = self.bytes.slice(self.position..end);
        self.position = end;
        tokio::task::yield_now().await;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// Waits, but not for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(HANGING, future).await.expect("hangs")
}

/// A body that did not end well.
pub(crate) struct Short {
    pub(crate) body: Vec<u8>,
    pub(crate) failure: Failure,
}

impl std::fmt::Debug for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} after {} bytes", self.failure, self.body.len())
    }
}

/// The whole body of a plan, or its failure with the bytes before it.
pub(crate) async fn drain(mut plan: Plan) -> Result<Vec<u8>, Short> {
    let mut body = Vec::new();
    loop {
        match soon(plan.next(100_000)).await {
            Ok(bytes) if bytes.is_empty() => return Ok(body),
            Ok(bytes) => body.extend_from_slice(&bytes),
            Err(failure) => return Err(Short { body, failure }),
        }
    }
}

/// Exactly so many next bytes of a plan.
pub(crate) async fn exactly(plan: &mut Plan, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let more = soon(plan.next(count - bytes.len())).await.unwrap();
        assert!(!more.is_empty(), "ends after {} of {count}", bytes.len());
        bytes.extend_from_slice(&more);
    }
    bytes
}

/// The whole body of what a request of `digest` gets.
pub(crate) async fn pull(reader: &Reader) -> Result<Vec<u8>, Short> {
    drain(reader.plan(&[], None)).await
}

/// Drives `digest` to an outcome with a source that has the blob, as often as it takes.
pub(crate) async fn drive(store: &Store, digest: &Digest, source: &mut Whole) {
    if let Some(fill) = soon(store.own_or_follow(digest).unwrap()).await.unwrap() {
        while let Err(failure) = soon(fill.run(source)).await {
            source.cut_at = None;
            assert_eq!(failure.cause, Cause::Unreachable);
        }
    }
}
