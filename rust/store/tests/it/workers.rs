//! Several processes on one root, as several stores in one process; each has its own descriptors, table and sweeper.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyregistry_store::{Outcome, Store};

use crate::support::{Root, Whole, blob, digest_of, drive, exactly, pull, scripted, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_another_process_get_every_byte() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let stores: Vec<Store> = (0..4).map(|_| root.store()).collect();
    let digest = digest_of(&bytes);
    let mut tasks = Vec::new();
    let begun = Arc::new(AtomicUsize::new(0));
    for index in 0..20 {
        let (store, digest, bytes, begun) =
            (stores[index % 4].clone(), digest.clone(), bytes.clone(), Arc::clone(&begun));
        tasks.push(tokio::spawn(async move {
            let reader = store.attach(&digest).unwrap();
            let driver = tokio::spawn({
                let (store, bytes) = (store.clone(), bytes.clone());
                async move {
                    // Only one of this process's requests drives.
                    if let Ok(owning) = store.own_or_follow(&digest)
                        && let Some(fill) = owning.await.unwrap()
                    {
                        let mut source = Whole::new(&bytes, 10_000);
                        assert_eq!(fill.run(&mut source).await, Ok(Outcome::Committed));
                        begun.fetch_add(source.begun.len(), Ordering::SeqCst);
                    }
                }
            });
            assert!(pull(&reader).await.unwrap() == bytes);
            driver.await.unwrap();
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1, "one fill for all");
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_goes_on_and_its_readers_notice_nothing() {
    let (root, bytes) = (Root::new(), blob(1_000_000));
    let (one, other) = (root.store(), root.store());
    let digest = digest_of(&bytes);
    let _first = one.attach(&digest).unwrap();
    let fill = soon(one.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(1_000_000));
    hand.sends(&bytes[..400_000]);

    let reader = other.attach(&digest).unwrap();
    let heir = tokio::spawn(other.own_or_follow(&digest).unwrap());
    assert_eq!(soon(reader.ready()).await.unwrap(), Some(1_000_000));
    let mut plan = reader.plan(&[], None);
    assert!(exactly(&mut plan, 400_000).await == bytes[..400_000]);
    assert_eq!(plan.available(1).unwrap(), None);
    run.abort();
    let fill = soon(heir).await.unwrap().unwrap().unwrap();
    assert_eq!(fill.frontier(), 400_000);
    let mut source = Whole::new(&bytes, 10_000);
    let (run, rest) = tokio::join!(fill.run(&mut source), exactly(&mut plan, 600_000));
    assert_eq!(run, Ok(Outcome::Committed));
    assert!(rest == bytes[400_000..]);
    assert_eq!(source.begun, [400_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_elsewhere_keeps_a_fill_alive() {
    let (root, bytes) = (Root::new(), blob(1_000_000));
    let (one, other) = (root.store(), root.store());
    let digest = digest_of(&bytes);
    let mine = one.attach(&digest).unwrap();
    let fill = soon(one.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(1_000_000));
    let reader = other.attach(&digest).unwrap();
    let following = tokio::spawn(other.own_or_follow(&digest).unwrap());
    soon(reader.ready()).await.unwrap();
    drop(mine);
    let mut plan = reader.plan(&[(0, 999_999)], None);
    // Longer than it takes to find that nobody here waits.
    for piece in bytes.chunks(100_000).take(5) {
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        hand.sends(piece);
        exactly(&mut plan, 100_000).await;
    }
    hand.sends(&bytes[500_000..]);
    assert_eq!(soon(run).await.unwrap(), Ok(Outcome::Committed));
    assert!(soon(following).await.unwrap().unwrap().is_none());
    assert!(pull(&reader).await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_commit_race_same_digest() {
    let (root, bytes) = (Root::new(), blob(100_000));
    let stores: Vec<Store> = (0..3).map(|_| root.store()).collect();
    let digest = digest_of(&bytes);
    for _ in 0..50 {
        let fetched = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = stores
            .iter()
            .cloned()
            .map(|store| {
                let (digest, bytes, fetched) = (digest.clone(), bytes.clone(), Arc::clone(&fetched));
                tokio::spawn(async move {
                    let reader = store.attach(&digest).unwrap();
                    let mut source = Whole::new(&bytes, 7_000);
                    drive(&store, &digest, &mut source).await;
                    fetched.fetch_add(source.begun.len(), Ordering::SeqCst);
                    assert!(pull(&reader).await.unwrap() == bytes);
                })
            })
            .collect();
        for task in tasks {
            soon(task).await.unwrap();
        }
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        root.check();
        assert!(stores[0].remove(&digest).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_follower_answers_its_own_readers() {
    let (root, bytes) = (Root::new(), blob(100_000));
    let (one, other) = (root.store(), root.store());
    let digest = digest_of(&bytes);
    let reader = one.attach(&digest).unwrap();
    let fill = soon(one.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let elsewhere = other.attach(&digest).unwrap();
    let following = tokio::spawn(other.own_or_follow(&digest).unwrap());
    tokio::task::yield_now().await;
    following.abort();
    assert_eq!(pull(&elsewhere).await.unwrap_err().failure.cause, pyregistry_store::Cause::Interrupted);
    let mut source = Whole::new(&bytes, 10_000);
    assert_eq!(soon(fill.run(&mut source)).await, Ok(Outcome::Committed));
    assert!(pull(&reader).await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_waited_for_between_processes() {
    let root = Root::new();
    let (one, other) = (root.store(), root.store());
    let held = one.try_lock(7).unwrap().unwrap();
    assert!(other.try_lock(7).unwrap().is_none());
    let waiting = tokio::spawn(other.lock(7));
    drop(held);
    let held = soon(waiting).await.unwrap().unwrap();
    assert!(one.try_lock(7).unwrap().is_none());
    drop(held);
    assert!(one.try_lock(7).unwrap().is_some());
}
