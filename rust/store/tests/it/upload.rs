//! Uploads: bytes that are pushed, by one process at a time.

use std::path::PathBuf;

use bytes::Bytes;
use pyregistry_store::{Algorithm, Cause, Digest, Session, Store, Upload};

use crate::support::{Root, Whole, blob, digest_of, drive, pull, sha512_of, soon};

fn session(name: &str) -> Session {
    Session::parse(name).unwrap()
}

fn begin(store: &Store, name: &str) -> Upload {
    store.begin_upload(&session(name), Algorithm::Sha256).unwrap()
}

/// Takes the upload on from where it is, as a request does with the next chunk.
async fn push(upload: &Upload, bytes: &[u8]) {
    for piece in bytes.chunks(100_000) {
        if let Some(room) = upload.write(Bytes::copy_from_slice(piece)).unwrap() {
            soon(room).await.unwrap();
        }
    }
}

async fn stored(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    match store.committed(digest, None).unwrap() {
        Some(reader) => Some(pull(&reader).await.unwrap()),
        None => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn becomes_a_blob() {
    let (root, bytes) = (Root::new(), blob(5_000_001));
    let store = root.store();
    for (name, bytes) in [("a", &bytes[..]), ("b", &bytes[..0]), ("c", &bytes[..1])] {
        let upload = begin(&store, name);
        push(&upload, bytes).await;
        assert_eq!(upload.offset(), bytes.len() as u64);
        let digest = digest_of(bytes);
        assert_eq!(soon(upload.commit(&digest)).await, Ok(bytes.len() as u64));
        assert!(stored(&store, &digest).await.unwrap() == bytes);
        // Gone, for this process and the others.
        assert_eq!(upload.write(Bytes::new()).map(|_| ()).unwrap_err().cause, Cause::NotFound);
        assert_eq!(soon(upload.flush()).await.unwrap_err().cause, Cause::NotFound);
        assert_eq!(soon(upload.commit(&digest)).await.unwrap_err().cause, Cause::NotFound);
        assert_eq!(store.open_upload(&session(name)).err().unwrap().cause, Cause::NotFound);
        assert_eq!(store.upload_offset(&session(name)), Ok(None));
        assert!(!store.remove_upload(&session(name)).unwrap());
    }
    assert_eq!(store.uploads(), Ok(vec![]));
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_in_another_process_at_the_last_checkpoint() {
    let (root, bytes) = (Root::new(), blob(3_000_000));
    let (one, other) = (root.store(), root.store());
    for (name, algorithm, digest) in
        [("a", Algorithm::Sha256, digest_of(&bytes)), ("b", Algorithm::Sha512, sha512_of(&bytes))]
    {
        let name = session(name);
        let upload = one.begin_upload(&name, algorithm).unwrap();
        push(&upload, &bytes[..1_700_000]).await;
        assert_eq!(soon(upload.flush()).await, Ok(1_700_000));
        assert_eq!(other.upload_offset(&name), Ok(Some(1_700_000)));
        // Without a checkpoint these bytes are lost.
        push(&upload, &blob(500_000)).await;
        drop(upload);

        let upload = soon(opened(&other, &name)).await;
        assert_eq!(upload.offset(), 1_700_000);
        push(&upload, &bytes[1_700_000..]).await;
        assert_eq!(soon(upload.commit(&digest)).await, Ok(3_000_000));
        assert!(stored(&one, &digest).await.unwrap() == bytes);
    }
    root.check();
}

/// Bytes beyond the checkpoint are no part of the blob, even if nothing is written over them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_beyond_the_checkpoint_are_cut() {
    let (root, bytes) = (Root::new(), blob(4_000_000));
    let store = root.store();
    let upload = begin(&store, "a");
    push(&upload, &bytes[..1000]).await;
    soon(upload.flush()).await.unwrap();
    push(&upload, &bytes[1000..]).await;
    drop(upload);
    let upload = soon(opened(&store, &session("a"))).await;
    assert_eq!(upload.offset(), 1000);
    assert_eq!(soon(upload.commit(&digest_of(&bytes[..1000]))).await, Ok(1000));
    assert!(stored(&store, &digest_of(&bytes[..1000])).await.unwrap() == bytes[..1000]);
    root.check();
}

/// Its last holder may still be writing.
async fn opened(store: &Store, name: &Session) -> Upload {
    loop {
        if let Some(upload) = store.open_upload(name).unwrap() {
            return upload;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn has_one_writer_at_a_time() {
    let (root, bytes) = (Root::new(), blob(10_000));
    let (one, other) = (root.store(), root.store());
    let upload = begin(&one, "a");
    for store in [&one, &other] {
        assert!(store.open_upload(&session("a")).unwrap().is_none());
        assert!(!store.remove_upload(&session("a")).unwrap());
        assert_eq!(store.begin_upload(&session("a"), Algorithm::Sha256).err().unwrap().cause, Cause::Storage);
        assert_eq!(store.upload_offset(&session("a")), Ok(Some(0)));
    }
    push(&upload, &bytes).await;
    soon(upload.flush()).await.unwrap();
    drop(upload);
    let again = other.open_upload(&session("a")).unwrap().unwrap();
    assert!(one.open_upload(&session("a")).unwrap().is_none());
    drop(again);
    assert_eq!(one.begin_upload(&session("a"), Algorithm::Sha256).err().unwrap().cause, Cause::Storage);
    let listed = other.uploads().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, session("a"));
    assert!(listed[0].1.as_secs() < 20);
    assert!(one.remove_upload(&session("a")).unwrap());
    assert!(!one.remove_upload(&session("a")).unwrap());
    assert_eq!(other.uploads(), Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_leaves_it_as_it_was() {
    let (root, bytes) = (Root::new(), blob(2_500_000));
    let store = root.store();
    let upload = begin(&store, "a");
    let (half, rest) = bytes.split_at(1_300_000);
    push(&upload, half).await;
    for wrong in [digest_of(&bytes), sha512_of(&bytes), sha512_of(&bytes)] {
        let failure = soon(upload.commit(&wrong)).await.unwrap_err();
        assert_eq!(failure.cause, Cause::DigestMismatch);
        assert!(failure.message.contains("1300000 bytes of upload a") && failure.message.contains(&wrong.to_string()));
    }
    assert_eq!(upload.offset(), 1_300_000);
    push(&upload, rest).await;
    // Announced was SHA-256: this reads the file once more.
    assert_eq!(soon(upload.commit(&sha512_of(&bytes))).await, Ok(2_500_000));
    assert!(stored(&store, &sha512_of(&bytes)).await.unwrap() == bytes);
    assert!(stored(&store, &digest_of(&bytes)).await.is_none());
    root.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_of_one_blob_race() {
    let (root, bytes) = (Root::new(), Bytes::from(blob(700_000)));
    let digest = digest_of(&bytes);
    for round in 0..20 {
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let (store, bytes, digest) = (root.store(), bytes.clone(), digest.clone());
                tokio::spawn(async move {
                    let upload = begin(&store, &format!("{round}-{index}"));
                    push(&upload, &bytes).await;
                    assert_eq!(upload.commit(&digest).await, Ok(700_000));
                    assert!(stored(&store, &digest).await.unwrap() == bytes);
                })
            })
            .collect();
        for task in tasks {
            soon(task).await.unwrap();
        }
        root.check();
        let store = root.store();
        assert_eq!(store.uploads(), Ok(vec![]));
        store.remove(&digest).unwrap();
    }
    assert_eq!(entries(root.path().join("quarantine")), 0);
}

fn entries(path: PathBuf) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_and_a_fill_of_one_blob_race() {
    let (root, bytes) = (Root::new(), Bytes::from(blob(700_000)));
    let digest = digest_of(&bytes);
    for round in 0..20 {
        let (one, other) = (root.store(), root.store());
        let reader = one.attach(&digest).unwrap();
        let pushing = async {
            let upload = begin(&other, &round.to_string());
            push(&upload, &bytes).await;
            assert_eq!(upload.commit(&digest).await, Ok(700_000));
            assert!(stored(&other, &digest).await.unwrap() == bytes);
        };
        let mut source = Whole::new(&bytes, 50_000);
        let ((), (), body) =
            soon(async { tokio::join!(pushing, drive(&one, &digest, &mut source), pull(&reader)) }).await;
        assert!(body.unwrap() == bytes);
        root.check();
        one.remove(&digest).unwrap();
    }
}

/// A file of another size cannot be the blob: it is replaced at once, and kept aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaces_a_file_of_a_wrong_size() {
    let (root, bytes) = (Root::new(), blob(10_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let path = root.path().join("blobs/sha256").join(&digest.hex()[..2]);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(digest.hex()), &bytes[..5000]).unwrap();
    let upload = begin(&store, "a");
    push(&upload, &bytes).await;
    assert_eq!(soon(upload.commit(&digest)).await, Ok(10_000));
    assert!(stored(&store, &digest).await.unwrap() == bytes);
    root.check();
    assert_eq!(entries(root.path().join("quarantine")), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn begins_only_where_there_is_room() {
    let root = Root::new();
    let config = pyregistry_store::Config { reserve: u64::MAX, ..root.config() };
    let full = Store::open(config, tokio::runtime::Handle::current()).unwrap();
    let failure = full.begin_upload(&session("a"), Algorithm::Sha256).err().unwrap();
    assert_eq!(failure.cause, Cause::StorageFull);
    assert!(failure.message.contains("upload a"), "{failure}");
    assert_eq!(full.uploads(), Ok(vec![]));

    // It grows only so far where there is none, and says so at the next call. What was kept stays.
    let upload = begin(&root.store(), "b");
    drop(upload);
    let upload = full.open_upload(&session("b")).unwrap().unwrap();
    push(&upload, &blob(10_000_000)).await;
    assert_eq!(soon(upload.flush()).await, Ok(10_000_000));
    let mut written = Ok(());
    for piece in blob(20_000_000).chunks(500_000) {
        written = match upload.write(Bytes::copy_from_slice(piece)) {
            Ok(Some(taken)) => soon(taken).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        if written.is_err() {
            break;
        }
    }
    assert_eq!(written.unwrap_err().cause, Cause::StorageFull);
    assert_eq!(soon(upload.commit(&digest_of(b""))).await.unwrap_err().cause, Cause::StorageFull);
    assert_eq!(full.upload_offset(&session("b")), Ok(Some(10_000_000)));
    assert!(full.remove_upload(&session("b")).unwrap());

    full.close().await;
    assert_eq!(full.open_upload(&session("b")).err().unwrap().cause, Cause::Interrupted);
    assert_eq!(full.begin_upload(&session("b"), Algorithm::Sha256).err().unwrap().cause, Cause::Interrupted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_are_listed_in_order() {
    let root = Root::new();
    let store = root.store();
    assert_eq!(store.blobs(None, 10), Ok(vec![]));
    let mut digests = Vec::new();
    for index in 0..100_u64 {
        let bytes = index.to_le_bytes();
        let digest = if index % 3 == 0 { sha512_of(&bytes) } else { digest_of(&bytes) };
        let upload = begin(&store, "a");
        push(&upload, &bytes).await;
        soon(upload.commit(&digest)).await.unwrap();
        digests.push(digest);
    }
    digests.sort_by_key(ToString::to_string);
    // Nothing that is no blob.
    std::fs::write(root.path().join("blobs/sha256").join(&digests[0].hex()[..2]).join("stray"), b"").unwrap();
    for limit in [1, 7, 1000] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.blobs(after.as_ref(), limit).unwrap();
            assert!(page.len() <= limit);
            let Some((last, age)) = page.last() else { break };
            assert!(age.as_secs() < 20);
            after = Some(last.clone());
            listed.extend(page.into_iter().map(|(digest, _)| digest));
        }
        assert_eq!(listed, digests, "{limit}");
    }
}
