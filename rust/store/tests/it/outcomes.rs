//! How fills end badly, and what readers see of it.

use std::time::Duration;

use pyregistry_store::{Cause, Config, Failure, Outcome, Store};
use tokio::runtime::Handle;

use crate::support::{Root, Whole, blob, digest_of, drain, drive, exactly, pull, scripted, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_fails_mid_body() {
    let (root, bytes) = (Root::new(), blob(1_000_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let mut source = Whole::new(&bytes, 10_000);
    source.cut_at = Some(600_000);
    let broken = soon(fill.run(&mut source)).await.unwrap_err();
    assert_eq!((broken.cause, fill.frontier()), (Cause::Unreachable, 600_000));
    // Nobody notices as long as the fill is owned: it goes on where it was.
    let mut plan = reader.plan(&[], None);
    exactly(&mut plan, 600_000).await;
    source.cut_at = Some(700_000);
    let broken = soon(fill.run(&mut source)).await.unwrap_err();
    fill.fail(broken.clone());
    let failure = drain(plan).await.unwrap_err().failure;
    assert_eq!(failure, broken);
    assert_eq!(source.begun, [0, 600_000]);
    assert!(store.committed(&digest, None).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_a_failure_answers_for_its_time_in_every_process() {
    let (root, bytes) = (Root::new(), blob(1_000));
    let lasting = Config { failure_ttl: Duration::from_secs(3600), ..root.config() };
    let (one, other) =
        (Store::open(lasting.clone(), Handle::current()).unwrap(), Store::open(lasting, Handle::current()).unwrap());
    let digest = digest_of(&bytes);
    let reader = one.attach(&digest).unwrap();
    let fill = soon(one.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let follower = other.attach(&digest).unwrap();
    let following = tokio::spawn(other.own_or_follow(&digest).unwrap());
    let failure = Failure { status: Some(404), ..Failure::new(Cause::NotFound, "upstream has no such blob") };
    fill.fail(failure.clone());
    assert!(soon(following).await.unwrap().unwrap().is_none());
    // Those who waited, those who come later, here and elsewhere, and in a process that is started only now.
    assert_eq!(soon(reader.ready()).await, Err(failure.clone()));
    assert_eq!(soon(follower.ready()).await, Err(failure.clone()));
    assert_eq!(soon(one.attach(&digest).unwrap().ready()).await, Err(failure.clone()));
    assert_eq!(soon(other.attach(&digest).unwrap().ready()).await, Err(failure.clone()));
    let third = root.store();
    let late = third.attach(&digest).unwrap();
    assert!(soon(third.own_or_follow(&digest).unwrap()).await.unwrap().is_none());
    assert_eq!(soon(late.ready()).await, Err(failure.clone()));
    let seen = pyregistry_store::fills(root.path()).unwrap();
    assert_eq!(seen[0].failure, Some(failure));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_after_its_time_a_request_begins_anew() {
    let (root, bytes) = (Root::new(), blob(200_000));
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let mut source = Whole::new(&bytes, 10_000);
    source.cut_at = Some(100_000);
    let broken = soon(fill.run(&mut source)).await.unwrap_err();
    fill.fail(broken);
    drop(fill);
    assert!(pull(&reader).await.is_err());
    source.cut_at = None;
    let reader = store.attach(&digest).unwrap();
    let ((), body) = tokio::join!(drive(&store, &digest, &mut source), pull(&reader));
    assert!(body.unwrap() == bytes);
    // I5: what the failed generation brought was not asked for again.
    assert_eq!(source.begun, [0, 100_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_rate_limited_lasts_as_long_as_upstream_says() {
    let root = Root::new();
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let digest = digest_of(b"x");
    let limited = |cause| Failure { retry_after: Some(Duration::from_secs(600)), ..Failure::new(cause, "slow down") };
    for (cause, answers) in [(Cause::Upstream, false), (Cause::RateLimited, true)] {
        let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
        fill.fail(limited(cause));
        drop(fill);
        let reader = store.attach(&digest).unwrap();
        assert_eq!(!store.wanted(&digest), answers);
        if answers {
            assert_eq!(soon(reader.ready()).await, Err(limited(cause)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_digest_mismatch_ends_short() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let (store, other) = (Store::open(config, Handle::current()).unwrap(), root.store());
    let digest = digest_of(&bytes);
    let mut wrong = bytes.clone();
    wrong[10] ^= 1;
    let readers = [store.attach(&digest).unwrap(), other.attach(&digest).unwrap()];
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let following = tokio::spawn(other.own_or_follow(&digest).unwrap());
    let (hand, mut source) = scripted();
    hand.begins(Some(300_000));
    let wrongly = async {
        // The failure lasts no time here, so the follower must be there before it.
        soon(readers[1].ready()).await.unwrap();
        hand.sends(&wrong);
    };
    let (run, (), one, two) = tokio::join!(fill.run(&mut source), wrongly, pull(&readers[0]), pull(&readers[1]));
    assert_eq!(run.unwrap_err().cause, Cause::DigestMismatch);
    for body in [one, two] {
        let short = body.unwrap_err();
        assert_eq!(short.failure.cause, Cause::DigestMismatch);
        assert!(short.body.len() <= 300_000 - (32 << 10));
    }
    assert!(soon(following).await.unwrap().unwrap().is_none());
    assert!(store.committed(&digest, None).unwrap().is_none());
    drop(fill);
    // The next pull tries again, from 0: those bytes are never served again.
    let reader = store.attach(&digest).unwrap();
    let mut source = Whole::new(&bytes, 10_000);
    let ((), body) = tokio::join!(drive(&store, &digest, &mut source), pull(&reader));
    assert!(body.unwrap() == bytes);
    assert_eq!(source.begun, [0]);
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_that_contradict_each_other() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let digest = digest_of(&bytes);

    // More than announced is an outcome.
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    hand.begins(Some(100));
    hand.sends(&bytes[..101]);
    assert_eq!(soon(fill.run(&mut source)).await.unwrap_err().cause, Cause::SizeMismatch);
    assert_eq!(soon(reader.ready()).await.unwrap_err().cause, Cause::SizeMismatch);
    drop(fill);

    // Less is the source's failure: another source may have the rest.
    let _reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (mut hand, mut source) = scripted();
    hand.begins(Some(300_000));
    hand.sends(&bytes[..1000]);
    hand.ends();
    assert_eq!(soon(fill.run(&mut source)).await.unwrap_err().cause, Cause::Upstream);
    hand.begins(Some(300_000));
    hand.breaks();
    assert_eq!(soon(fill.run(&mut source)).await.unwrap_err().cause, Cause::Unreachable);
    assert_eq!((hand.asked().await, hand.asked().await), (0, 1000));

    // Another size than before ends the generation and its bytes.
    hand.begins(Some(200_000));
    assert_eq!(soon(fill.run(&mut source)).await.unwrap_err().cause, Cause::SizeMismatch);
    drop(fill);
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    assert_eq!(fill.frontier(), 0);
    let mut source = Whole::new(&bytes, 10_000);
    let _reader = store.attach(&digest).unwrap();
    assert_eq!(soon(fill.run(&mut source)).await, Ok(Outcome::Committed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fill_begins_on_a_full_disk() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let config = Config { reserve: u64::MAX, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let refused = soon(store.own_or_follow(&digest).unwrap()).await.err().unwrap();
    assert_eq!(refused.cause, Cause::StorageFull);
    assert_eq!(soon(reader.ready()).await, Err(refused));
    assert!(!store.in_flight(&digest).unwrap());
    assert!(pyregistry_store::fills(root.path()).unwrap().is_empty());

    // What is done then: right bytes pass through whole, wrong ones end short.
    let mut plan = store.pass_through(Whole::new(&bytes, 10_000), &digest);
    assert_eq!(soon(plan.begin()).await.unwrap(), Some(300_000));
    assert!(drain(plan).await.unwrap() == bytes);
    let mut wrong = bytes.clone();
    wrong[0] ^= 1;
    let short = drain(store.pass_through(Whole::new(&wrong, 10_000), &digest)).await.unwrap_err();
    assert_eq!((short.body.len(), short.failure.cause), (300_000 - (32 << 10), Cause::DigestMismatch));
    let mut cut = Whole::new(&bytes, 10_000);
    cut.cut_at = Some(0);
    let mut plan = store.pass_through(cut, &digest);
    assert_eq!(soon(plan.begin()).await.unwrap(), Some(300_000));
    assert_eq!(soon(plan.next(1)).await.unwrap_err().cause, Cause::Unreachable);
    let (hand, source) = scripted();
    hand.refuses(Failure::new(Cause::Denied, "no"));
    let mut plan = store.pass_through(source, &digest);
    assert_eq!(soon(plan.begin()).await.unwrap_err().cause, Cause::Denied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_dropped_without_commit() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let (store, other) = (root.store(), root.store());
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let elsewhere = other.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let mut source = Whole::new(&bytes, 10_000);
    source.cut_at = Some(100_000);
    soon(fill.run(&mut source)).await.unwrap_err();
    drop(fill);
    assert_eq!(pull(&reader).await.unwrap_err().failure.cause, Cause::Interrupted);
    // As after a kill, the others go on.
    let ((), body) = tokio::join!(drive(&other, &digest, &mut source), pull(&elsewhere));
    assert!(body.unwrap() == bytes);
    assert_eq!(source.begun[1], 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_hands_fills_over() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let (store, other) = (root.store(), root.store());
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let elsewhere = other.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    hand.begins(Some(300_000));
    hand.sends(&bytes[..100_000]);
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    exactly(&mut reader.plan(&[(0, 100_000)], None), 100_000).await;
    soon(store.close()).await;
    assert_eq!(soon(run).await.unwrap().unwrap_err().cause, Cause::Interrupted);
    assert_eq!(store.owned(), 0);
    assert_eq!(pull(&reader).await.unwrap_err().failure.cause, Cause::Interrupted);
    assert_eq!(store.attach(&digest).err().unwrap().cause, Cause::Interrupted);
    let mut source = Whole::new(&bytes, 10_000);
    let ((), body) = tokio::join!(drive(&other, &digest, &mut source), pull(&elsewhere));
    assert!(body.unwrap() == bytes);
    assert_eq!(source.begun, [100_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_ends_readers_short_and_keeps_the_partial() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let config = Config { failure_ttl: Duration::ZERO, ..root.config() };
    let store = Store::open(config, Handle::current()).unwrap();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let mut source = Whole::new(&bytes, 10_000);
    source.cut_at = Some(100_000);
    soon(fill.run(&mut source)).await.unwrap_err();
    // What a write without room leaves behind the frontier.
    let folder = root.path().join("fills").join(format!("sha256-{}", digest.hex()));
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let data = names.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("data-")).unwrap();
    let partial = std::fs::OpenOptions::new().write(true).open(&data).unwrap();
    partial.set_len(150_000).unwrap();
    fill.fail(Failure::new(Cause::StorageFull, "no space left on device"));
    assert_eq!(pull(&reader).await.unwrap_err().failure.cause, Cause::StorageFull);
    assert_eq!(partial.metadata().unwrap().len(), 100_000);
    // The handle of a fill that ended keeps nobody from driving the next.
    let reader = store.attach(&digest).unwrap();
    source.cut_at = None;
    let ((), body) = tokio::join!(drive(&store, &digest, &mut source), pull(&reader));
    assert!(body.unwrap() == bytes);
    assert_eq!(source.begun, [0, 100_000]);
    drop(fill);
}
