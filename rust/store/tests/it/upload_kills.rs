//! Uploads whose holders are killed.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use pyregistry_store::{Algorithm, Cause, Config, Session, Store};

use crate::process::Worker;
use crate::support::{Root, blob, digest_of, pull, soon};

const SIZE: usize = 3_000_000;
const CHUNK: usize = 300_000;
/// In a worker's environment: it stops after so many bytes, some of them without a checkpoint.
const STOP: &str = "STORE_TEST_UPLOAD_STOP";
/// How many kills the stress makes.
const KILLS: usize = 60;

fn session() -> Session {
    Session::parse("shared").unwrap()
}

/// A worker takes whatever chunk is next, and the commit; an ordinary test run passes it by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Some(root) = Worker::root() else { return };
    let stop = std::env::var(STOP).map_or(usize::MAX, |stop| stop.parse().unwrap());
    let store = Store::open(Config { reserve: 0, ..Config::new(&root) }, tokio::runtime::Handle::current()).unwrap();
    let bytes = Bytes::from(blob(SIZE));
    let digest = digest_of(&bytes);
    loop {
        let opened = match store.open_upload(&session()) {
            // Nobody has begun it; only one of those who try now will.
            Err(failure) if failure.cause == Cause::NotFound => {
                if let Some(reader) = store.committed(&digest, None).unwrap() {
                    assert!(pull(&reader).await.unwrap() == bytes);
                    println!("committed");
                    store.remove(&digest).unwrap();
                }
                // A holder who was killed as he began or ended left a folder without an upload.
                store.remove_upload(&session()).unwrap();
                store.begin_upload(&session(), Algorithm::Sha256).ok()
            }
            opened => opened.unwrap(),
        };
        let Some(upload) = opened else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        // Proof that nobody else holds it, independent of the store.
        let proof = std::fs::OpenOptions::new().create(true).append(true).open(root.join("holder")).unwrap();
        proof.try_lock().expect("two holders of one upload");
        let offset = usize::try_from(upload.offset()).unwrap();
        if offset == SIZE {
            proof.unlock().unwrap();
            assert_eq!(upload.commit(&digest).await, Ok(SIZE as u64));
            println!("pushed");
            continue;
        }
        println!("holds {offset}");
        let end = (offset + CHUNK).min(SIZE);
        for piece in bytes.slice(offset..end).chunks(CHUNK / 3) {
            if upload.offset() >= stop as u64 {
                println!("stops");
                std::future::pending::<()>().await;
            }
            if let Some(taken) = upload.write(Bytes::copy_from_slice(piece)).unwrap() {
                taken.await.unwrap();
            }
        }
        assert_eq!(upload.flush().await, Ok(end as u64));
        drop(proof);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_frees_an_upload_at_its_checkpoint() {
    let (root, bytes) = (Root::new(), blob(SIZE));
    let (sender, lines) = mpsc::channel();
    let worker = Worker::start("upload_kills::worker", root.path(), [(STOP, (CHUNK * 2 + 1).to_string())], sender);
    while !lines.recv().unwrap().expect("the worker ended").contains("stops") {}
    let store = root.store();
    assert!(store.open_upload(&session()).unwrap().is_none());
    worker.kill();
    let upload = store.open_upload(&session()).unwrap().unwrap();
    assert_eq!(upload.offset(), 2 * CHUNK as u64);
    for piece in bytes[2 * CHUNK..].chunks(CHUNK) {
        if let Some(taken) = upload.write(Bytes::copy_from_slice(piece)).unwrap() {
            soon(taken).await.unwrap();
        }
    }
    assert_eq!(soon(upload.commit(&digest_of(&bytes))).await, Ok(SIZE as u64));
    root.check();
}

/// Several processes push one upload chunk by chunk, and are killed at random moments of it.
#[test]
fn one_holder_and_no_wrong_byte_over_kills() {
    let root = Root::new();
    let mut random = blob(16 * KILLS).into_iter();
    let begin = || {
        let (sender, lines) = mpsc::channel();
        (Worker::start("upload_kills::worker", root.path(), [], sender), lines)
    };
    let mut workers: Vec<_> = (0..3).map(|_| begin()).collect();
    let (mut resumed, mut committed) = (0, 0);
    for _ in 0..KILLS {
        let mut next = || usize::from(random.next().unwrap());
        let victim = next() % workers.len();
        let (worker, lines) = workers.swap_remove(victim);
        for _ in 0..=next() % 6 {
            lines.recv().unwrap().expect("a worker ended by itself");
        }
        std::thread::sleep(Duration::from_micros(20 * next() as u64));
        worker.kill();
        workers.push(begin());
        for line in lines.into_iter().flatten() {
            resumed += usize::from(line.contains("holds") && !line.contains("holds 0"));
            committed += usize::from(line.contains("committed"));
        }
    }
    for (worker, _) in workers {
        worker.kill();
    }
    root.check();
    // Or it would have shown nothing.
    assert!(resumed > 0 && committed > 0, "{resumed} {committed}");
}
