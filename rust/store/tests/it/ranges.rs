//! Ranges of blobs that are not there yet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pyregistry_store::{Cause, Config, Digest, Failure, FillOnRange, Outcome, Store};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::ranged::Upstream;
use crate::support::{Root, blob, digest_of, drain, pull, soon};

const BLOCK: usize = 32 << 10;

pub(crate) fn store_that(root: &Root, change: impl FnOnce(&mut Config)) -> Store {
    let mut config = root.config();
    config.failure_ttl = Duration::ZERO;
    change(&mut config);
    Store::open(config, Handle::current()).unwrap()
}

/// Drives as Python does: as long as somebody waits, and again after a break.
pub(crate) fn driver(store: &Store, digest: &Digest, upstream: &Arc<Upstream>) -> JoinHandle<Result<(), Failure>> {
    let (store, digest, upstream) = (store.clone(), digest.clone(), upstream.clone());
    tokio::spawn(async move {
        loop {
            if let Some(fill) = store.own_or_follow(&digest).unwrap().await? {
                loop {
                    match fill.run(&mut upstream.source()).await {
                        Ok(Outcome::Idle) if fill.rest().await? => {}
                        Ok(_) => break,
                        Err(failure) if failure.cause == Cause::Unreachable => {}
                        Err(failure) => return Err(failure),
                    }
                }
            }
            if !store.wanted(&digest) {
                return Ok(());
            }
        }
    })
}

async fn range(store: &Store, digest: &Digest, range: Range<u64>) -> Vec<u8> {
    let reader = store.attach_range(digest, range.clone()).unwrap();
    soon(reader.ready()).await.unwrap();
    drain(reader.plan(&[(range.start, range.end)], None)).await.unwrap()
}

/// One request of a range, driven by itself.
pub(crate) async fn one_range(store: &Store, digest: &Digest, upstream: &Arc<Upstream>, wanted: Range<u64>) -> Vec<u8> {
    let reader = store.attach_range(digest, wanted.clone()).unwrap();
    let driven = driver(store, digest, upstream);
    soon(reader.ready()).await.unwrap();
    let body = drain(reader.plan(&[(wanted.start, wanted.end)], None)).await.unwrap();
    drop(reader);
    soon(driven).await.unwrap().unwrap();
    body
}

pub(crate) async fn whole(store: &Store, digest: &Digest, upstream: &Arc<Upstream>) -> Vec<u8> {
    let reader = store.attach(digest).unwrap();
    let driven = driver(store, digest, upstream);
    let body = pull(&reader).await.unwrap();
    soon(driven).await.unwrap().unwrap();
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_range_brings_itself_and_a_later_pull_the_rest() {
    for (size, wanted) in
        [(9_000_001, 5_000_000..5_050_000), (9_000_001, 8_999_000..9_000_001), (100, 7..9), (200_000, 0..1)]
    {
        let (root, bytes) = (Root::new(), blob(size));
        let (store, digest) = (root.store(), digest_of(&bytes));
        let upstream = Arc::new(Upstream::new(&bytes));
        let (start, end) = (usize::try_from(wanted.start).unwrap(), usize::try_from(wanted.end).unwrap());
        assert!(one_range(&store, &digest, &upstream, wanted.clone()).await == bytes[start..end]);
        assert!(upstream.sent() <= end.next_multiple_of(BLOCK) - start / BLOCK * BLOCK, "{}", upstream.sent());
        if upstream.sent() < size {
            assert!(store.committed(&digest, None).unwrap().is_none());
        }
        // Another process goes on where this one stopped.
        assert!(whole(&root.store(), &digest, &upstream).await == bytes);
        assert_eq!((upstream.sent(), upstream.twice()), (size, 0));
        root.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_small_parts_are_asked_for_as_they_are_read() {
    let (root, bytes) = (Root::new(), blob(70 << 20));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let parts: Vec<(u64, u64)> = (0..1000).map(|part| (2 * part * BLOCK as u64, 2 * part * BLOCK as u64 + 1)).collect();
    let upstream = Arc::new(Upstream::new(&bytes));
    let reader = store.attach_range(&digest, 0..1).unwrap();
    let driven = driver(&store, &digest, &upstream);
    soon(reader.ready()).await.unwrap();
    let mut plan = reader.plan(&parts, None);
    // The first frame, and some parts.
    for _ in 0..10 {
        assert!(!soon(plan.next(1)).await.unwrap().is_empty());
    }
    drop((reader, plan));
    soon(driven).await.unwrap().unwrap();
    assert!(upstream.asked.load(Ordering::SeqCst) < 80, "{}", upstream.asked.load(Ordering::SeqCst));
    let reader = store.attach_range(&digest, 0..1).unwrap();
    let driven = driver(&store, &digest, &upstream);
    soon(reader.ready()).await.unwrap();
    let body = drain(reader.plan(&parts, None)).await.unwrap();
    let mut rest = body.as_slice();
    for (start, _) in &parts {
        // After each frame, one byte.
        let frame = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        assert_eq!(rest[frame + 4], bytes[usize::try_from(*start).unwrap()]);
        rest = &rest[frame + 5..];
    }
    assert!(upstream.twice() == 0);
    drop(reader);
    soon(driven).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i5_blocks_survive_a_reboot_as_far_as_a_checkpoint_names_them() {
    let (root, bytes) = (Root::new(), blob(5_000_000));
    let digest = digest_of(&bytes);
    let upstream = Arc::new(Upstream::new(&bytes));
    let store = root.store();
    let reader = store.attach_range(&digest, 3_000_000..3_000_001).unwrap();
    let driven = driver(&store, &digest, &upstream);
    soon(reader.ready()).await.unwrap();
    drain(reader.plan(&[(3_000_000, 3_400_000)], None)).await.unwrap();
    store.close().await;
    drop(reader);
    let _ = soon(driven).await.unwrap();
    let had = upstream.sent();
    // A `state` of another boot does not count.
    let folder = std::fs::read_dir(root.path().join("fills")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(folder.join("state")).unwrap();
    assert!(whole(&root.store(), &digest, &upstream).await == bytes);
    assert!(had > 400_000 && upstream.twice() == 0, "{had} {}", upstream.twice());
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn random_ranges_in_two_processes_fetch_each_block_once() {
    let (root, bytes) = (Root::new(), blob(24 << 20));
    let digest = digest_of(&bytes);
    let mut upstream = Upstream::new(&bytes);
    upstream.pause = Duration::from_millis(1);
    let upstream = Arc::new(upstream);
    let stores = [store_that(&root, |_| {}), store_that(&root, |_| {})];
    let holding: Vec<_> = stores.iter().map(|store| store.attach_range(&digest, 0..1).unwrap()).collect();
    let driven: Vec<_> = stores.iter().map(|store| driver(store, &digest, &upstream)).collect();
    let mut clients = Vec::new();
    let mut blocks = std::collections::HashSet::from([0]);
    for client in 0..8_usize {
        let (store, digest, bytes) = (stores[client % 2].clone(), digest.clone(), bytes.clone());
        let starts: Vec<usize> = (0..12).map(|turn| (client * 7919 + turn * 104_729) * 613 % (11 << 20)).collect();
        blocks.extend(starts.iter().flat_map(|start| start / BLOCK..=(start + 49_999) / BLOCK));
        clients.push(tokio::spawn(async move {
            for start in starts {
                let body = range(&store, &digest, start as u64..start as u64 + 50_000).await;
                assert!(body == bytes[start..start + 50_000], "{start}");
            }
        }));
    }
    for client in clients {
        soon(client).await.unwrap();
    }
    assert_eq!(upstream.twice(), 0);
    assert!(upstream.sent() <= blocks.len() * BLOCK, "{} of {}", upstream.sent(), blocks.len() * BLOCK);
    let (first, second) = tokio::join!(async { pull(&stores[0].attach(&digest).unwrap()).await.unwrap() }, async {
        pull(&stores[1].attach(&digest).unwrap()).await.unwrap()
    });
    assert!(first == bytes && second == bytes);
    assert_eq!((upstream.sent(), upstream.twice()), (bytes.len(), 0));
    drop(holding);
    for driven in driven {
        soon(driven).await.unwrap().unwrap();
    }
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn breaks_deaths_and_leavers_leave_right_bytes() {
    for seed in 0..12_u64 {
        let (root, bytes) = (Root::new(), blob(6 << 20));
        let digest = digest_of(&bytes);
        let mut upstream = Upstream::new(&bytes);
        upstream.pause = Duration::from_micros(300);
        let upstream = Arc::new(upstream);
        let share = [0.0, 0.3, 0.6, 0.9][usize::try_from(seed % 4).unwrap()];
        let stores: Vec<_> =
            (0..3).map(|_| store_that(&root, |config| config.fill_on_range = FillOnRange::After(share))).collect();
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut drivers: Vec<_> = stores.iter().map(|_| None::<JoinHandle<Result<(), Failure>>>).collect();
        let mut clients = Vec::new();
        for _ in 0..60 {
            let who = usize::try_from(next(3)).unwrap();
            let start = next(6 << 20);
            match next(10) {
                0 => upstream.breaks.store(usize::try_from(next(3)).unwrap(), Ordering::SeqCst),
                // The owner's run is dropped, and with it the fill: an heir goes on.
                1 => drivers[who].take().into_iter().for_each(|driver| driver.abort()),
                2 => clients.push(tokio::spawn({
                    let (reader, bytes) = (stores[who].attach(&digest).unwrap(), bytes.clone());
                    async move {
                        if let Ok(body) = pull(&reader).await {
                            assert!(body == bytes);
                        }
                    }
                })),
                3 => tokio::time::sleep(Duration::from_millis(next(20))).await,
                kind => {
                    let end = (start + 1 + next(300_000)).min(6 << 20);
                    let reader = stores[who].attach_range(&digest, start..end).unwrap();
                    let bytes = bytes.clone();
                    clients.push(tokio::spawn(async move {
                        let Ok(_) = soon(reader.ready()).await else { return };
                        let mut plan = reader.plan(&[(start, if kind < 6 { 6 << 20 } else { end })], None);
                        let mut at = usize::try_from(start).unwrap();
                        while let Ok(piece) = soon(plan.next(40_000)).await
                            && !piece.is_empty()
                            && (at as u64) < end
                        {
                            assert!(piece == bytes[at..at + piece.len()], "at {at}");
                            at += piece.len();
                        }
                    }));
                }
            }
            if drivers[who].as_ref().is_none_or(JoinHandle::is_finished)
                && let Ok(driving) = stores[who].own_or_follow(&digest)
            {
                drop(driving);
                drivers[who] = Some(driver(&stores[who], &digest, &upstream));
            }
        }
        for store in &stores {
            if let Ok(driving) = store.own_or_follow(&digest) {
                drop(driving);
                drivers.push(Some(driver(store, &digest, &upstream)));
            }
        }
        for client in clients {
            soon(client).await.unwrap();
        }
        drivers.iter().flatten().for_each(JoinHandle::abort);
        upstream.breaks.store(0, Ordering::SeqCst);
        let last = root.store();
        for _ in 0..3 {
            if last.committed(&digest, None).unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(whole(&last, &digest, &upstream).await == bytes, "seed {seed}");
            }
        }
        root.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_bytes_of_a_generation_that_failed_its_digest_are_not_served_again() {
    let (root, bytes) = (Root::new(), blob(2_000_000));
    let digest = digest_of(&bytes);
    let mut wrong = bytes.clone();
    wrong[1_500_000] ^= 1;
    let store = store_that(&root, |_| {});
    let lying = Arc::new(Upstream::new(&wrong));
    let body = one_range(&store, &digest, &lying, 1_480_000..1_520_000).await;
    assert!(body == wrong[1_480_000..1_520_000], "a range is not verified");
    let reader = store.attach(&digest).unwrap();
    let driven = driver(&store, &digest, &lying);
    assert_eq!(pull(&reader).await.unwrap_err().failure.cause, Cause::DigestMismatch);
    assert_eq!(soon(driven).await.unwrap().unwrap_err().cause, Cause::DigestMismatch);
    drop(reader);
    let honest = Arc::new(Upstream::new(&bytes));
    let body = one_range(&store, &digest, &honest, 1_480_000..1_520_000).await;
    assert!(body == bytes[1_480_000..1_520_000]);
    assert!(whole(&store, &digest, &honest).await == bytes);
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_without_ranges_fills_and_the_range_waits() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let upstream = Arc::new(Upstream::new(&bytes));
    upstream.ignores_ranges.store(true, Ordering::SeqCst);
    assert!(one_range(&store, &digest, &upstream, 2_000_000..2_050_000).await == bytes[2_000_000..2_050_000]);
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 2);
    assert!(whole(&store, &digest, &upstream).await == bytes);
    root.check();
}

/// I1: what was hashed is not written again, whatever comes for it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_not_taken_from_a_stream_that_brings_it_once_more() {
    for wrong in [false, true] {
        let (root, bytes) = (Root::new(), blob(6_000_000));
        let (store, digest) = (root.store(), digest_of(&bytes));
        let honest = Arc::new(Upstream::new(&bytes));
        one_range(&store, &digest, &honest, 1_000_000..3_000_000).await;
        let mut other = bytes.clone();
        if wrong {
            other[1_200_000..2_800_000].fill(0);
        }
        let mut upstream = Upstream::new(&other);
        upstream.ignores_ranges = true.into();
        upstream.pause = Duration::from_millis(1);
        let upstream = Arc::new(upstream);
        assert!(whole(&store, &digest, &upstream).await == bytes, "{wrong}");
        assert!(upstream.twice() < other.len() / 2, "{wrong}: nothing but the answer to a range comes twice");
        root.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_may_begin_the_whole_fill_by_policy() {
    for (policy, commits) in
        [(FillOnRange::After(0.0), true), (FillOnRange::After(0.9), false), (FillOnRange::Never, false)]
    {
        let (root, bytes) = (Root::new(), blob(3_000_000));
        let store = store_that(&root, |config| config.fill_on_range = policy);
        let digest = digest_of(&bytes);
        let upstream = Arc::new(Upstream::new(&bytes));
        let reader = store.attach_range(&digest, 0..1_400_000).unwrap();
        let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
        let run = tokio::spawn({
            let mut source = upstream.source();
            async move { fill.run(&mut source).await }
        });
        soon(reader.ready()).await.unwrap();
        drain(reader.plan(&[(0, 1_400_000)], None)).await.unwrap();
        drop(reader);
        let outcome = soon(run).await.unwrap().unwrap();
        assert_eq!(outcome == Outcome::Committed, commits, "{policy:?}");
        assert!(commits || upstream.sent() < 1_500_000, "{policy:?}");
    }
}
