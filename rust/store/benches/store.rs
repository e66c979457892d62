//! How fast bytes get in and out: `cargo bench -p pyregistry-store`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::fmt::Write;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pyregistry_store::{Begun, Config, Digest, Failure, Source, Store};
use sha2::Digest as _;
use tokio::runtime::Runtime;

/// A source that is never the bottleneck.
struct Memory {
    bytes: Bytes,
    piece: usize,
    position: usize,
}

impl Source for Memory {
    type Fork = Self;

    async fn begin_range(&mut self, _: u64, _: u64) -> Result<Begun, Failure> {
        self.begin(0).await
    }

    fn stop(&mut self) {}

    fn fork(&self) -> Option<Self> {
        None
    }

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        self.position = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Begun { size: Some(self.bytes.len() as u64), whole: false })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let end = (self.position + self.piece).min(self.bytes.len());
        let piece = self.bytes.slice(self.position..end);
        self.position = end;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut text = "sha256:".to_owned();
    for byte in sha2::Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    Digest::parse(&text).unwrap()
}

async fn fill(store: &Store, digest: &Digest, bytes: &Bytes, piece: usize) {
    let _reader = store.attach(digest).unwrap();
    let fill = store.own_or_follow(digest).unwrap().await.unwrap().unwrap();
    let mut source = Memory { bytes: bytes.clone(), piece, position: 0 };
    fill.run(&mut source).await.unwrap();
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let root = tempfile::tempdir_in(".").unwrap();
    let config = Config { reserve: 0, ..Config::new(root.path()) };
    let store = Store::open(config, runtime.handle().clone()).unwrap();

    let mut group = criterion.benchmark_group("fill");
    group.sample_size(10);
    for (name, size, piece) in [
        ("64 MiB in 16 KiB", 64 << 20, 16 << 10),
        ("64 MiB in 256 KiB", 64 << 20, 256 << 10),
        ("4 KiB", 4 << 10, 4 << 10),
    ] {
        let bytes = Bytes::from(vec![7; size]);
        let digest = digest_of(&bytes);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(fill(&store, &digest, &bytes, piece));
                store.remove(&digest).unwrap();
            });
        });
    }
    group.finish();

    let bytes = Bytes::from(vec![9; 8 << 20]);
    let digest = digest_of(&bytes);
    runtime.block_on(fill(&store, &digest, &bytes, 1 << 20));
    let mut group = criterion.benchmark_group("read");
    group.bench_function("open and take a 50 KiB range", |bencher| {
        let mut buffer = vec![0; 50 << 10];
        bencher.iter(|| {
            let reader = store.committed(&digest, Some(8 << 20)).unwrap().unwrap();
            let mut plan = reader.plan(&[(1 << 20, (1 << 20) + (50 << 10))], None);
            assert_eq!(plan.take(&mut buffer).unwrap(), Some(buffer.len()));
        });
    });
    group.bench_function("in_flight", |bencher| bencher.iter(|| store.in_flight(&digest).unwrap()));
    group.bench_function("try_lock", |bencher| bencher.iter(|| store.try_lock(7).unwrap().unwrap()));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
