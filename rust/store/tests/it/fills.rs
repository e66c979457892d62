//! One process: who waits, who leaves, who is slow.

use pyregistry_store::{Abandon, Cause, Config, Outcome, Store};
use tokio::runtime::Handle;

use crate::support::{Root, Whole, blob, digest_of, drain, drive, exactly, pull, scripted, sha512_of, soon};

const BLOCK: usize = 32 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_pull_is_committed_and_then_warm() {
    let root = Root::new();
    let store = root.store();
    for (bytes, digest) in [
        (blob(3_000_000), digest_of(&blob(3_000_000))),
        (blob(200_000), sha512_of(&blob(200_000))),
        (blob(1), digest_of(&blob(1))),
        (Vec::new(), digest_of(b"")),
    ] {
        assert!(store.committed(&digest, None).unwrap().is_none());
        let reader = store.attach(&digest).unwrap();
        let mut source = Whole::new(&bytes, 70_000);
        let ((), body) = tokio::join!(drive(&store, &digest, &mut source), pull(&reader));
        assert!(body.unwrap() == bytes);
        assert_eq!(source.begun, [0]);
        assert!(reader.is_committed());
        let warm = store.committed(&digest, Some(bytes.len() as u64)).unwrap().unwrap();
        assert!(pull(&warm).await.unwrap() == bytes);
        assert!(!store.wanted(&digest) && !store.in_flight(&digest).unwrap());
    }
    assert_eq!(store.owned(), 0);
    assert!(pyregistry_store::fills(root.path()).unwrap().is_empty());
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_byte_reaches_readers_before_the_second_is_sent() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(bytes.len() as u64));
    assert_eq!(soon(reader.ready()).await.unwrap(), Some(300_000));
    let mut plan = reader.plan(&[], None);
    assert_eq!(plan.length(), Some(300_000));
    assert_eq!(plan.available(10).unwrap(), None);
    for (index, piece) in bytes.chunks(1000).take(200).enumerate() {
        hand.sends(piece);
        assert_eq!(exactly(&mut plan, piece.len()).await, piece, "{index}");
    }
    hand.sends(&bytes[200_000..]);
    assert!(exactly(&mut plan, 100_000).await == bytes[200_000..]);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert!(soon(plan.next(1)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_client_leaves() {
    let (root, bytes) = (Root::new(), blob(500_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let first = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (mut hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(500_000));
    hand.sends(&bytes[..250_000]);
    let mut plan = first.plan(&[], None);
    exactly(&mut plan, 100_000).await;
    let second = store.attach(&digest).unwrap();
    drop((first, plan));
    hand.sends(&bytes[250_000..]);
    assert!(pull(&second).await.unwrap() == bytes);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert_eq!(hand.asked().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clients_leave_and_the_next_gets_the_rest() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(3_000_000));
    hand.sends(&bytes[..500_000]);
    exactly(&mut reader.plan(&[], None), 400_000).await;
    drop(reader);
    // Under a MiB came: not worth going on for nobody.
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Stopped));
    assert_eq!(store.owned(), 0);
    let left = pyregistry_store::fills(root.path()).unwrap();
    assert_eq!((left.len(), left[0].frontier, left[0].size, left[0].owned), (1, 500_000, Some(3_000_000), false));

    let reader = store.attach(&digest).unwrap();
    assert!(store.wanted(&digest));
    let mut source = Whole::new(&bytes, 100_000);
    let ((), body) = tokio::join!(drive(&store, &digest, &mut source), pull(&reader));
    assert!(body.unwrap() == bytes);
    assert_eq!(source.begun, [500_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_nearly_done_goes_on_for_nobody() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let abandon = Abandon { min_sent: 100_000, fraction: 0.5, remaining: 0 };
    let store = Store::open(Config { abandon, ..root.config() }, Handle::current()).unwrap();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(300_000));
    hand.sends(&bytes[..200_000]);
    exactly(&mut reader.plan(&[], None), 150_000).await;
    drop(reader);
    hand.sends(&bytes[200_000..]);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert!(store.committed(&digest, None).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_joins_late() {
    let (root, bytes) = (Root::new(), blob(1_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let early = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(1_000_000));
    let mut early = early.plan(&[], None);
    let mut late = Vec::new();
    for piece in bytes.chunks(100_000) {
        late.push(store.attach(&digest).unwrap());
        hand.sends(piece);
        if late.len() < 10 {
            exactly(&mut early, 100_000).await;
        }
    }
    for reader in &late {
        assert!(pull(reader).await.unwrap() == bytes);
    }
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_slow_reader_does_not_slow_fill() {
    let (root, bytes) = (Root::new(), blob(5_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let stalled: Vec<_> = (0..50).map(|_| store.attach(&digest).unwrap()).collect();
    let mut source = Whole::new(&bytes, 50_000);
    // Nobody reads at all, and yet it is committed.
    drive(&store, &digest, &mut source).await;
    assert!(store.committed(&digest, None).unwrap().is_some());
    assert!(store.remove(&digest).unwrap());
    // What was open when the blob was removed is still read to its end.
    for reader in &stalled {
        assert!(pull(reader).await.unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_the_last_block_waits_for_the_digest() {
    let (root, bytes) = (Root::new(), blob(200_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(200_000));
    hand.sends(&bytes[..199_999]);
    soon(reader.ready()).await.unwrap();
    let mut part = reader.plan(&[(0, 199_999)], None);
    let mut whole = [reader.plan(&[], None), reader.plan(&[(0, 200_000)], None)];
    assert!(exactly(&mut part, 199_999).await == bytes[..199_999]);
    assert!(soon(part.next(1)).await.unwrap().is_empty());
    for plan in &mut whole {
        assert!(exactly(plan, 200_000 - BLOCK).await == bytes[..200_000 - BLOCK]);
        assert_eq!(plan.available(1).unwrap(), None);
    }
    hand.sends(&bytes[199_999..]);
    for plan in whole {
        assert!(drain(plan).await.unwrap() == bytes[200_000 - BLOCK..]);
    }
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_that_upstream_does_not_tell() {
    let (root, bytes) = (Root::new(), blob(200_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (mut hand, mut source) = scripted();
    let run = tokio::spawn(async move {
        let broken = fill.run(&mut source).await.unwrap_err();
        assert_eq!(broken.cause, Cause::Unreachable);
        fill.run(&mut source).await
    });
    hand.begins(None);
    assert_eq!(soon(reader.ready()).await.unwrap(), None);
    let mut plan = reader.plan(&[(5, 6)], None);
    assert_eq!((plan.length(), reader.size()), (None, None));
    hand.sends(&bytes[..150_000]);
    assert!(exactly(&mut plan, 150_000 - BLOCK).await == bytes[..150_000 - BLOCK]);
    assert_eq!(plan.available(1).unwrap(), None);
    hand.breaks();
    assert_eq!((hand.asked().await, hand.asked().await), (0, 150_000));
    hand.begins(None);
    hand.sends(&bytes[150_000..]);
    hand.ends();
    assert!(drain(plan).await.unwrap() == bytes[150_000 - BLOCK..]);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert_eq!(reader.size(), Some(200_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_driver_a_digest() {
    let (root, bytes) = (Root::new(), blob(100));
    let store = root.store();
    let digest = digest_of(&bytes);
    let _reader = store.attach(&digest).unwrap();
    let first = store.own_or_follow(&digest).unwrap();
    assert!(store.own_or_follow(&digest).is_err());
    let fill = soon(first).await.unwrap().unwrap();
    assert_eq!((store.owned(), store.in_flight(&digest).unwrap()), (1, true));
    assert!(store.own_or_follow(&digest).is_err());
    drop(fill);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_goes_on_where_it_was() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = std::sync::Arc::new(soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap());
    let mut plan = reader.plan(&[(0, 2_999_999)], None);
    let mut at = 0;
    for cut in [200_000, 1_500_000, 2_900_000] {
        let (mut hand, mut source) = scripted();
        let running = std::sync::Arc::clone(&fill);
        let run = tokio::spawn(async move { running.run(&mut source).await });
        let from = usize::try_from(hand.asked().await).unwrap();
        assert!(from >= at, "bytes that were shown are asked for again");
        hand.begins(Some(3_000_000));
        for piece in bytes[from..cut].chunks(10_000) {
            hand.sends(piece);
        }
        assert!(exactly(&mut plan, cut - 50_000 - at).await == bytes[at..cut - 50_000]);
        at = cut - 50_000;
        run.abort();
        assert!(soon(run).await.is_err());
    }
    let mut source = Whole::new(&bytes, 10_000);
    assert_eq!(soon(fill.run(&mut source)).await, Ok(Outcome::Committed));
    assert!(pull(&reader).await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn left_overs_are_cleaned() {
    use std::time::Duration;
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let mut source = Whole::new(&bytes, 100_000);
    source.cut_at = Some(1_000_000);
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let broken = soon(fill.run(&mut source)).await.unwrap_err();
    assert!(store.clean(Duration::ZERO).await.unwrap().is_empty(), "it is owned");
    fill.fail(broken);
    drop((fill, reader));
    assert!(store.clean(Duration::ZERO).await.unwrap().is_empty(), "its failure still answers");
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let other = digest_of(b"other");
    let fill = soon(store.own_or_follow(&other).unwrap()).await.unwrap().unwrap();
    fill.fail(pyregistry_store::Failure::new(Cause::NotFound, "no"));
    assert_eq!(pyregistry_store::fills(root.path()).unwrap().len(), 2);
    assert!(store.clean(Duration::from_secs(3600)).await.unwrap().is_empty());
    let left = pyregistry_store::fills(root.path()).unwrap();
    assert_eq!((left.len(), left[0].digest.clone(), left[0].frontier), (1, digest.clone(), 1_000_000));
    while store.clean(Duration::ZERO).await.unwrap() != [digest.clone()] {
        tokio::task::yield_now().await;
    }
    assert!(pyregistry_store::fills(root.path()).unwrap().is_empty());
}
