//! Real processes and SIGKILL: this test binary runs itself as workers.
//!
//! Every worker proves with a lock of the test's own, independent of the store's, that nobody else owns the fill while it does.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use pyregistry_store::{Begun, Cause, Config, Failure, Outcome, Source, Store};

use crate::process::Worker;
use crate::support::{Root, Whole, blob, digest_of, exactly, pull, soon};

const SIZE: usize = 400_000;
const PIECE: usize = 10_000;
/// In a worker's environment: where its source stalls.
const STALL: &str = "STORE_TEST_WORKER_STALL";
/// How many kills the stress makes; a thousand for those who want to know.
const KILLS: &str = "STORE_TEST_KILLS";

/// A source that proves to be the only one, from its first byte to its last.
struct Proven {
    bytes: Bytes,
    position: usize,
    stall: usize,
    proof: std::fs::File,
}

impl Proven {
    fn new(root: &Path, bytes: Bytes, stall: usize) -> Self {
        let path = root.join("owner");
        let proof = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        proof.try_lock().expect("two owners of one fill");
        Self { bytes, position: 0, stall, proof }
    }
}

impl Source for Proven {
    type Fork = Self;

    async fn begin_range(&mut self, _: u64, _: u64) -> Result<Begun, Failure> {
        panic!("it has no ranges")
    }

    fn stop(&mut self) {}

    fn fork(&self) -> Option<Self> {
        None
    }

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        self.position = usize::try_from(offset).unwrap();
        Ok(Begun { size: Some(SIZE as u64), whole: false })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.position == self.stall {
            std::future::pending::<()>().await;
        }
        let end = (self.position + PIECE).min(SIZE);
        let piece = self.bytes.slice(self.position..end);
        self.position = end;
        if end == SIZE {
            // The commit lets go of the fill before this process can let go of its proof.
            self.proof.unlock().unwrap();
        }
        tokio::task::yield_now().await;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// A worker's whole life; an ordinary test run passes it by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Some(root) = Worker::root() else {
        return;
    };
    let stall = std::env::var(STALL).map_or(usize::MAX, |stall| stall.parse().unwrap());
    let config = Config { reserve: 0, ..Config::new(&root) };
    let store = Store::open(config, tokio::runtime::Handle::current()).unwrap();
    let bytes = Bytes::from(blob(SIZE));
    let digest = digest_of(&bytes);
    loop {
        if let Some(reader) = store.committed(&digest, Some(SIZE as u64)).unwrap() {
            assert!(pull(&reader).await.unwrap() == bytes);
            println!("committed");
            store.remove(&digest).unwrap();
            continue;
        }
        let reader = store.attach(&digest).unwrap();
        let driving = async {
            let fill = match store.own_or_follow(&digest).unwrap().await {
                Ok(Some(fill)) => fill,
                Ok(None) => return,
                Err(failure) => return assert_eq!(failure.cause, Cause::Interrupted),
            };
            let mut source = Proven::new(&root, bytes.clone(), stall);
            println!("owns {}", fill.frontier());
            assert_eq!(fill.run(&mut source).await, Ok(Outcome::Committed));
        };
        match tokio::join!(driving, pull(&reader)).1 {
            Ok(body) => assert!(body == bytes),
            // The owner was killed between the commit and its word of it, and the blob removed in that millisecond.
            Err(short) => assert_eq!(short.failure.cause, Cause::Interrupted),
        }
        println!("pulled");
    }
}

/// Starts a worker; what it says comes through `lines`, and None when it ends.
fn start(root: &Path, stall: Option<usize>, lines: mpsc::Sender<Option<String>>) -> Worker {
    let stall = stall.map(|stall| (STALL, stall.to_string()));
    Worker::start("kills::worker", root, stall, lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_crash_then_resume() {
    let bytes = blob(SIZE);
    let digest = digest_of(&bytes);
    for stall in [SIZE / 2, SIZE / 10 * 9] {
        let root = Root::new();
        let (sender, lines) = mpsc::channel();
        let worker = start(root.path(), Some(stall), sender);
        while !lines.recv().unwrap().expect("the worker ended").contains("owns 0") {}

        let store = root.store();
        let reader = store.attach(&digest).unwrap();
        let heir = tokio::spawn(store.own_or_follow(&digest).unwrap());
        assert!(soon(reader.ready()).await.unwrap() == Some(SIZE as u64));
        let mut plan = reader.plan(&[(0, SIZE as u64 - 1)], None);
        let mut whole = reader.plan(&[], None);
        assert!(exactly(&mut plan, stall).await == bytes[..stall]);
        worker.kill();
        // A reader of another process gets a whole body, and what was there is not asked for again.
        let fill = soon(heir).await.unwrap().unwrap().unwrap();
        assert_eq!(fill.frontier(), stall as u64);
        let mut source = Whole::new(&bytes, PIECE);
        let (run, body) = tokio::join!(fill.run(&mut source), exactly(&mut whole, SIZE));
        assert_eq!(run, Ok(Outcome::Committed));
        assert!(body == bytes);
        assert_eq!(source.begun, [stall as u64]);
        root.check();
    }
}

/// A restart of everything finds the partial by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_everything_killed_then_resume() {
    let (root, bytes) = (Root::new(), blob(SIZE));
    let digest = digest_of(&bytes);
    let (sender, lines) = mpsc::channel();
    let worker = start(root.path(), Some(360_000), sender);
    while !lines.recv().unwrap().expect("the worker ended").contains("owns 0") {}
    while pyregistry_store::fills(root.path()).unwrap()[0].frontier < 360_000 {
        tokio::task::yield_now().await;
    }
    worker.kill();
    let left = pyregistry_store::fills(root.path()).unwrap();
    assert_eq!((left[0].frontier, left[0].owned), (360_000, false));
    let store = root.store();
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let mut source = Whole::new(&bytes, PIECE);
    assert_eq!(soon(fill.run(&mut source)).await, Ok(Outcome::Committed));
    assert_eq!(source.begun, [360_000]);
    assert!(pull(&reader).await.unwrap() == bytes);
}

/// Workers fill, follow, commit and remove one digest in a circle, and are killed at random moments of it.
#[test]
fn i2_at_most_one_owner_over_kills_and_commits() {
    let kills = std::env::var(KILLS).map_or(100, |kills| kills.parse().unwrap());
    let root = Root::new();
    let mut random = blob(16 * kills).into_iter();
    let begin = || {
        let (sender, lines) = mpsc::channel();
        (start(root.path(), None, sender), lines)
    };
    let mut workers: Vec<_> = (0..3).map(|_| begin()).collect();
    let (mut owned, mut committed) = (0, 0);
    for _ in 0..kills {
        let mut next = || usize::from(random.next().unwrap());
        let victim = next() % workers.len();
        let (worker, lines) = workers.swap_remove(victim);
        // It has done something, and is now anywhere in what follows.
        let first = next() % 3 + 1;
        let mut said: Vec<String> =
            lines.iter().take(first).map(|line| line.expect("a worker ended by itself")).collect();
        std::thread::sleep(Duration::from_micros(20 * next() as u64));
        worker.kill();
        workers.push(begin());
        said.extend(lines.into_iter().flatten());
        owned += said.iter().filter(|line| line.contains("owns")).count();
        committed += said.iter().filter(|line| line.contains("committed")).count();
    }
    for (worker, _) in workers {
        worker.kill();
    }
    // Or it would have shown nothing.
    assert!(owned > 0 && committed > 0, "{owned} owned, {committed} committed");
}
