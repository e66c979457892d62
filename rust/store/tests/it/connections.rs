//! How many connections a blob is brought over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::ranged::Upstream;
use crate::ranges::{driver, one_range, store_that, whole};
use crate::support::{Root, blob, digest_of, drain, pull, soon};

/// 10 MB/s to each connection.
fn slow(bytes: &[u8]) -> Upstream {
    let mut upstream = Upstream::new(bytes);
    (upstream.pause, upstream.piece) = (Duration::from_millis(10), 100_000);
    upstream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upstream_is_asked_over_several_connections() {
    let (root, bytes) = (Root::new(), blob(64 << 20));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let upstream = Arc::new(slow(&bytes));
    assert!(whole(&store, &digest, &upstream).await == bytes);
    assert!(upstream.most.load(Ordering::SeqCst) > 1);
    assert!(upstream.twice() < 2 << 20, "{}", upstream.twice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_blob_is_asked_for_once() {
    let (root, bytes) = (Root::new(), blob(14 << 20));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let upstream = Arc::new(slow(&bytes));
    assert!(whole(&store, &digest, &upstream).await == bytes);
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beside_the_first_need_a_place() {
    for (places, most) in [(vec![], 1), (vec![77], 2)] {
        let (root, bytes) = (Root::new(), blob(48 << 20));
        let (store, digest) = (root.store(), digest_of(&bytes));
        let mut upstream = slow(&bytes);
        upstream.route.places = Some(Arc::from(places));
        let upstream = Arc::new(upstream);
        let reader = store.attach(&digest).unwrap();
        let driven = driver(&store, &digest, &upstream);
        // A range far ahead of the open stream waits for nothing but a place.
        let range = store.attach_range(&digest, 40_000_000..40_000_001).unwrap();
        let ahead = tokio::spawn(async move {
            soon(range.ready()).await.unwrap();
            drain(range.plan(&[(40_000_000, 40_050_000)], None)).await.unwrap()
        });
        assert!(pull(&reader).await.unwrap() == bytes);
        assert!(ahead.await.unwrap() == bytes[40_000_000..40_050_000]);
        soon(driven).await.unwrap().unwrap();
        assert_eq!(upstream.most.load(Ordering::SeqCst), most);
        assert!(store.try_lock(77).unwrap().is_some(), "given back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_costs_itself_alone() {
    let (root, bytes) = (Root::new(), blob(48 << 20));
    let (store, digest) = (root.store(), digest_of(&bytes));
    let mut upstream = slow(&bytes);
    upstream.refuses_above = 1;
    let upstream = Arc::new(upstream);
    assert!(whole(&store, &digest, &upstream).await == bytes);
    let (asked, refused) = (upstream.asked.load(Ordering::SeqCst), upstream.refused.load(Ordering::SeqCst));
    assert_eq!((asked, upstream.twice()), (1, 0), "the open stream goes on");
    assert!((1..=2).contains(&refused), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_ignores_ranges_is_known() {
    let (root, bytes, other) = (Root::new(), blob(3_000_000), blob(2_999_999));
    let store = store_that(&root, |_| {});
    for (bytes, asked) in [(bytes, 2), (other, 1)] {
        let upstream = Arc::new(Upstream::new(&bytes));
        upstream.ignores_ranges.store(true, Ordering::SeqCst);
        let range = one_range(&store, &digest_of(&bytes), &upstream, 2_000_000..2_050_000).await;
        assert!(range == bytes[2_000_000..2_050_000]);
        assert_eq!(upstream.asked.load(Ordering::SeqCst), asked);
    }
}
