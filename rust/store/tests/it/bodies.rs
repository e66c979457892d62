//! What plans make of ranges, files and failures.

use std::os::unix::fs::FileExt;

use pyregistry_store::{Cause, Digest, Reader};

use crate::support::{Root, Whole, blob, digest_of, drain, drive, exactly, pull, scripted, soon};

/// A committed blob of 300,000 bytes.
async fn committed() -> (Root, Vec<u8>, Digest, Reader) {
    let (root, bytes) = (Root::new(), blob(300_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let _waiting = store.attach(&digest).unwrap();
    drive(&store, &digest, &mut Whole::new(&bytes, 100_000)).await;
    let reader = store.committed(&digest, None).unwrap().unwrap();
    (root, bytes, digest, reader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_a_committed_blob() {
    let (_root, bytes, _, reader) = committed().await;
    for (start, end) in [(0, 1), (5, 299_999), (299_999, 300_000), (0, 300_000), (7, 7)] {
        let plan = reader.plan(&[(start as u64, end as u64)], None);
        assert_eq!(plan.length(), Some((end - start) as u64));
        assert!(drain(plan).await.unwrap() == bytes[start..end]);
    }
    // Past the end there is nothing, and nothing to wait for.
    assert_eq!(drain(reader.plan(&[(299_999, u64::MAX)], None)).await.unwrap(), bytes[299_999..]);
    assert!(drain(reader.plan(&[(400_000, 400_001)], None)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_ranges_are_framed_in_the_order_asked() {
    let (_root, bytes, _, reader) = committed().await;
    let plan = reader.plan(&[(100, 200), (0, 10), (0, 10)], Some("xyz"));
    let length = plan.length().unwrap();
    let body = drain(plan).await.unwrap();
    let mut expected = Vec::new();
    for (lead, start, end) in [("", 100, 200), ("\r\n", 0, 10), ("\r\n", 0, 10)] {
        let head = format!(
            "{lead}--xyz\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{}/300000\r\n\r\n",
            end - 1
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&bytes[start..end]);
    }
    expected.extend_from_slice(b"\r\n--xyz--\r\n");
    assert!(body == expected);
    assert_eq!(length, expected.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn take_reads_into_the_callers_buffer() {
    let (_root, bytes, _, reader) = committed().await;
    let mut plan = reader.plan(&[], None);
    let mut body = Vec::new();
    loop {
        let most = plan.available(70_000).unwrap().unwrap();
        let mut buffer = vec![0; most];
        match plan.take(&mut buffer).unwrap() {
            Some(0) => break,
            Some(count) => body.extend_from_slice(&buffer[..count]),
            None => body.extend_from_slice(&soon(plan.next(most)).await.unwrap()),
        }
    }
    assert!(body == bytes);
    assert_eq!(plan.available(1).unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn range_before_bytes_arrive() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(300_000));
    soon(reader.ready()).await.unwrap();
    let mut plan = reader.plan(&[(250_000, 250_010)], None);
    assert_eq!(plan.available(10).unwrap(), None);
    hand.sends(&bytes[..250_005]);
    assert_eq!(exactly(&mut plan, 5).await, bytes[250_000..250_005]);
    hand.sends(&bytes[250_005..]);
    assert_eq!(drain(plan).await.unwrap(), bytes[250_005..250_010]);
    soon(run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_next_loses_no_byte() {
    let (root, bytes) = (Root::new(), blob(300_000));
    let store = root.store();
    let digest = digest_of(&bytes);
    let reader = store.attach(&digest).unwrap();
    let fill = soon(store.own_or_follow(&digest).unwrap()).await.unwrap().unwrap();
    let (hand, mut source) = scripted();
    let run = tokio::spawn(async move { fill.run(&mut source).await });
    hand.begins(Some(300_000));
    soon(reader.ready()).await.unwrap();
    let mut plan = reader.plan(&[(0, 200_000)], None);
    let mut body = Vec::new();
    for piece in bytes.chunks(1000) {
        tokio::select! {
            biased;
            bytes = plan.next(300) => body.extend_from_slice(&bytes.unwrap()),
            () = tokio::task::yield_now() => {}
        }
        hand.sends(piece);
    }
    body.extend_from_slice(&drain(plan).await.unwrap());
    assert!(body == bytes[..200_000]);
    soon(run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_cut_short_is_no_end_of_a_body() {
    let (root, _, digest, reader) = committed().await;
    let path = root.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(100_000).unwrap();
    let short = pull(&reader).await.unwrap_err();
    assert_eq!((short.body.len(), short.failure.cause), (100_000, Cause::Storage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_of_another_size_goes_to_quarantine() {
    let (root, _, digest, reader) = committed().await;
    let store = root.store();
    assert!(store.committed(&digest, Some(299_999)).unwrap().is_none());
    assert!(store.committed(&digest, None).unwrap().is_none());
    assert_eq!(std::fs::read_dir(root.path().join("quarantine")).unwrap().count(), 1);
    // Whoever had it open goes on.
    assert_eq!(pull(&reader).await.unwrap().len(), 300_000);
    assert!(!store.remove(&digest).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_nobody_can_write_what_is_committed() {
    let (root, _, digest, _) = committed().await;
    let path = root.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let link = entry.unwrap().path();
        if std::fs::read_link(&link).is_ok_and(|target| target == path) {
            let number = link.file_name().unwrap().to_str().unwrap();
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let mode = u32::from_str_radix(flags.trim(), 8).unwrap() & 3;
            assert_eq!(mode, 0, "a descriptor of a committed blob can write");
        }
    }
    assert!(std::fs::File::open(path).unwrap().write_at(b"x", 0).is_err());
}
