//! Fills with nothing to fetch, and fills that no client waits for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pyregistry_store::{Fill, Outcome, Store};

use crate::ranged::Upstream;
use crate::support::{Root, blob, digest_of, drain, soon};

/// Waits for something that is polled for.
async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn owned(store: &Store, digest: &pyregistry_store::Digest) -> Fill {
    soon(store.own_or_follow(digest).unwrap()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_when_readers_of_ranges_have_what_they_want_and_goes_on_with_the_next_range() {
    let (root, bytes) = (Root::new(), blob(9_000_001));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let upstream = Arc::new(Upstream::new(&bytes));
    let reader = store.attach_range(&digest, 5_000_000..5_050_000).unwrap();
    let fill = Arc::new(owned(&store, &digest).await);
    let mut source = upstream.source();
    let (run, body) = tokio::join!(fill.run(&mut source), async {
        soon(reader.ready()).await.unwrap();
        drain(reader.plan(&[(5_000_000, 5_050_000)], None)).await.unwrap()
    });
    assert!(body == bytes[5_000_000..5_050_000]);
    assert_eq!(run, Ok(Outcome::Idle), "the reader stays, and wants nothing");
    assert!(store.in_flight(&digest).unwrap(), "it is still owned");

    let resting = tokio::spawn({
        let fill = fill.clone();
        async move { fill.rest().await }
    });
    let next = store.attach_range(&digest, 100..200).unwrap();
    let mut plan = next.plan(&[(100, 200)], None);
    let (first, run) = tokio::join!(plan.next(1000), async {
        assert_eq!(soon(resting).await.unwrap(), Ok(true));
        // One that was dropped in the middle of its rest loses nothing.
        drop(tokio::time::timeout(Duration::ZERO, fill.rest()).await);
        assert_eq!(soon(fill.rest()).await, Ok(true));
        soon(fill.run(&mut upstream.source())).await
    });
    assert_eq!(first.unwrap(), bytes[100..200]);
    assert_eq!(run, Ok(Outcome::Idle));

    drop((reader, plan, next));
    assert_eq!(soon(fill.rest()).await, Ok(false), "nobody waits any more");
    assert!(!store.in_flight(&digest).unwrap());
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_told_whether_a_client_waits() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let (store, other, digest) = (root.store(), root.store(), digest_of(&bytes));
    let mut upstream = Upstream::new(&bytes);
    upstream.pause = Duration::from_millis(2);
    upstream.piece = 1000;
    let upstream = Arc::new(upstream);
    let background = upstream.route.background.clone();
    let prefetch = store.attach_background(&digest).unwrap();
    let fill = owned(&store, &digest).await;
    let run = tokio::spawn(async move { fill.run(&mut upstream.source()).await });
    until(|| background.load(Ordering::SeqCst)).await;
    let client = store.attach(&digest).unwrap();
    until(|| !background.load(Ordering::SeqCst)).await;
    drop(client);
    until(|| background.load(Ordering::SeqCst)).await;
    // One of another process counts as much.
    let (follow, client) = (other.own_or_follow(&digest).unwrap(), other.attach(&digest).unwrap());
    let follow = tokio::spawn(follow);
    until(|| !background.load(Ordering::SeqCst)).await;
    drop(client);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert!(soon(follow).await.unwrap().unwrap().is_none());
    drop(prefetch);
}
