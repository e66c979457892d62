//! Loss of power: what a store does is recorded, and every beginning of the record, less what was not synced, must be a store that
//! keeps its promises.
#![allow(clippy::disallowed_methods)]

mod disk;
mod found;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sha2::Digest as _;
use tokio::runtime::Handle;

use crate::fs::record::{self, Op};
use crate::upload::{Checkpoint, Session};
use crate::{Algorithm, Begun, Cause, Config, Digest, Failure, Outcome, Source, Store, fs};
use disk::Disk;
use found::Unsynced;

/// Bytes of the contents here: some batches of the fill's, which are as large as pieces come.
const SIZE: usize = 40_000;

/// A folder in memory, where there is one: nothing here waits for a real disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn open(root: &Path) -> Store {
    Store::open(Config { reserve: 0, ..Config::new(root) }, Handle::current()).unwrap()
}

fn content(seed: u8) -> Vec<u8> {
    (0..SIZE).map(|index| u8::try_from(index * 31 % 251).unwrap() ^ seed).collect()
}

fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
    let hash = match algorithm {
        Algorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        Algorithm::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
    };
    let hex: Vec<_> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::parse(&format!("{}:{}", algorithm.name(), hex.concat())).unwrap()
}

/// A source that breaks at a byte, and remembers from where it was asked.
struct Piecewise {
    bytes: Vec<u8>,
    position: usize,
    breaks_at: usize,
}

impl Piecewise {
    fn new(bytes: &[u8], breaks_at: usize) -> Self {
        Self { bytes: bytes.to_vec(), position: 0, breaks_at }
    }
}

impl Source for Piecewise {
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
        Ok(Begun { size: Some(self.bytes.len() as u64), whole: false })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.position >= self.breaks_at {
            return Err(Failure::new(Cause::Unreachable, "cut"));
        }
        let end = (self.position + 4000).min(self.bytes.len());
        let piece = Bytes::copy_from_slice(&self.bytes[self.position..end]);
        self.position = end;
        tokio::task::yield_now().await;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

async fn push(store: &Store, name: &str, bytes: &[u8], algorithm: Algorithm) -> crate::Upload {
    let upload = store.begin_upload(&Session::parse(name).unwrap(), algorithm).unwrap();
    for chunk in bytes.chunks(15_000) {
        assert!(upload.write(Bytes::copy_from_slice(chunk)).unwrap().is_none());
        upload.flush().await.unwrap();
    }
    upload
}

/// Records what `scenario` does to a new root; it notes `committed` and `kept` as it is promised, and knows the contents.
async fn recorded<F: Future<Output = ()>>(scenario: impl FnOnce(PathBuf) -> F) -> Vec<Op> {
    let folder = folder();
    let root = folder.path().to_owned();
    record::start(&root);
    scenario(root.clone()).await;
    record::stop(&root)
}

/// Loses power after every operation, in several ways, and looks at what is left.
async fn survives(ops: &[Op], contents: &[Vec<u8>]) {
    let mut disk = Disk::new();
    let mut promised = Promised::default();
    let mut seed = 88_172_645_463_325_252;
    for op in ops {
        disk.apply(op);
        if let Op::Note(note) = op {
            promised.add(note);
        }
        let chances = (0..6).map(|_| {
            seed += 1_000_003;
            Unsynced::Chance(seed)
        });
        for unsynced in [Unsynced::Lost, Unsynced::Kept].into_iter().chain(chances) {
            let folder = folder();
            disk.lose_power(folder.path(), unsynced);
            let after: String = format!("{unsynced:?} after {op:?}").chars().take(200).collect();
            check(folder.path(), &promised, contents, &after).await;
        }
    }
    assert!(ops.len() > 20, "nothing was recorded");
}

/// What was told to somebody before the power went.
#[derive(Default)]
struct Promised {
    committed: Vec<Digest>,
    /// Fills, and the frontier that they may not fall behind.
    kept: BTreeMap<Digest, u64>,
}

impl Promised {
    fn add(&mut self, note: &str) {
        let (what, digest) = note.split_once(' ').unwrap();
        if what == "committed" {
            self.committed.push(Digest::parse(digest).unwrap());
        } else {
            self.kept.insert(Digest::parse(digest).unwrap(), what.parse().unwrap());
        }
    }
}

async fn check(root: &Path, promised: &Promised, contents: &[Vec<u8>], after: &str) {
    reboot(root);
    let store = open(root);
    i1(root, after);
    for digest in &promised.committed {
        assert!(store.committed(digest, Some(SIZE as u64)).unwrap().is_some(), "i10: {digest} is lost, {after}");
    }
    // Everything can be done again, and what is left of before does no harm.
    for (session, _) in store.uploads().unwrap() {
        let offset = store.upload_offset(&session).unwrap();
        assert!(matches!(offset, None | Some(0)), "i5: {session} goes on at {offset:?}, {after}");
        let Ok(upload) = store.open_upload(&session) else {
            assert!(store.remove_upload(&session).unwrap());
            continue;
        };
        let upload = upload.unwrap();
        assert!(upload.write(Bytes::copy_from_slice(&contents[0][..20_000])).unwrap().is_none());
        upload.flush().await.unwrap();
        // While it is written, a file that was there must not change.
        i1(root, after);
        assert!(upload.write(Bytes::copy_from_slice(&contents[0][20_000..])).unwrap().is_none());
        let committed = upload.commit(&digest_of(&contents[0], Algorithm::Sha256)).await;
        assert_eq!(committed, Ok(SIZE as u64), "{after}");
    }
    for content in contents {
        let digest = digest_of(content, Algorithm::Sha256);
        if let Some(fill) = store.own_or_follow(&digest).unwrap().await.unwrap() {
            let least = promised.kept.get(&digest).copied().unwrap_or(0);
            assert!(fill.frontier() >= least, "i5: {} of {least} bytes kept, {after}", fill.frontier());
            let mut source = Piecewise::new(content, usize::MAX);
            assert_eq!(fill.run(&mut source).await, Ok(Outcome::Committed), "i5: wrong bytes were kept, {after}");
        }
    }
    i1(root, after);
    store.clean(Duration::ZERO).await.unwrap();
}

/// Everything under `blobs/` hashes to its name.
fn i1(root: &Path, after: &str) {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        for shard in std::fs::read_dir(root.join("blobs").join(algorithm.name())).unwrap() {
            for blob in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let blob = blob.unwrap();
                let digest = digest_of(&std::fs::read(blob.path()).unwrap(), algorithm);
                assert_eq!(blob.file_name().to_str(), Some(digest.hex()), "i1: {after}");
            }
        }
    }
}

/// What is stored through mappings is not recorded; what was recorded says that it is of this boot.
fn reboot(root: &Path) {
    for session in fs::list(&root.join("uploads")).unwrap() {
        let state = root.join("uploads").join(session).join("state");
        if state.exists() {
            Checkpoint::reboot(&state);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i10_an_acknowledged_upload_survives() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let bytes = content(1);
        let ops = recorded(|root| {
            let (bytes, digest) = (bytes.clone(), digest_of(&bytes, algorithm));
            async move {
                let store = open(&root);
                let upload = push(&store, "a", &bytes, Algorithm::Sha256).await;
                upload.commit(&digest).await.unwrap();
                record::note(&root, format!("committed {digest}"));
                // One that is never committed.
                drop(push(&store, "b", &bytes[..30_000], Algorithm::Sha512).await);
                // Stored already.
                let upload = push(&open(&root), "c", &bytes, algorithm).await;
                upload.commit(&digest).await.unwrap();
            }
        })
        .await;
        survives(&ops, &[bytes]).await;
    }
}

/// Another process made the file, and has not, or never, come to make its name durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i10_an_upload_of_what_was_just_renamed_survives() {
    let bytes = content(2);
    let ops = recorded(|root| {
        let (bytes, digest) = (bytes.clone(), digest_of(&bytes, Algorithm::Sha256));
        async move {
            let store = open(&root);
            let (temporary, blob) = (root.join("tmp/other"), store.inner.layout.blob(&digest));
            let file = fs::create(&temporary).unwrap();
            fs::write_at(&file, &temporary, &bytes, 0).unwrap();
            fs::sync_data(&file, &temporary).unwrap();
            fs::make_folder(blob.parent().unwrap()).unwrap();
            fs::rename(&temporary, &blob).unwrap();
            let upload = push(&store, "a", &bytes, Algorithm::Sha256).await;
            upload.commit(&digest).await.unwrap();
            record::note(&root, format!("committed {digest}"));
        }
    })
    .await;
    survives(&ops, &[bytes]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_a_fill_goes_on_from_its_durable_checkpoint() {
    let bytes = content(3);
    let ops = recorded(|root| {
        let (bytes, digest) = (bytes.clone(), digest_of(&bytes, Algorithm::Sha256));
        async move {
            let mut kept = 0;
            for breaks_at in [12_000, 28_000, usize::MAX] {
                let store = open(&root);
                let _reader = store.attach(&digest).unwrap();
                let fill = store.own_or_follow(&digest).unwrap().await.unwrap().unwrap();
                assert_eq!(fill.frontier(), kept);
                if fill.run(&mut Piecewise::new(&bytes, breaks_at)).await.is_ok() {
                    record::note(&root, format!("committed {digest}"));
                } else {
                    kept = fill.frontier();
                    store.close().await;
                    record::note(&root, format!("{kept} {digest}"));
                }
            }
        }
    })
    .await;
    survives(&ops, &[bytes]).await;
}
