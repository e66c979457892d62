//! Bodies that break, and go on.

use std::time::Duration;

use pyregistry_fetch::{BodySource, FetchError};
use tokio::time::timeout;

use crate::upstream::{Reply, Request, Upstream, client, content, hasty, rest};

async fn source(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> (BodySource, Upstream) {
    let upstream = Upstream::new(script).await;
    (client().source(&upstream.url("/v2/a/blobs/x"), &[]).unwrap(), upstream)
}

#[tokio::test]
async fn a_break_of_any_kind_goes_on_by_range() {
    let whole = content(100_000);
    for (kind, first) in [
        ("short", Reply::new(200).body(&whole).cut(30_000)),
        ("chunked", Reply::new(200).body(&whole).chunked().cut(30_000)),
        ("stall", Reply::new(200).body(&whole).stall(30_000)),
    ] {
        let served = whole.clone();
        let upstream = Upstream::new(move |request, before| match before {
            0 => first.clone(),
            _ => Reply::ranged(request, &served),
        })
        .await;
        let client = if kind == "stall" { hasty() } else { client() };
        let mut source = client.source(&upstream.url("/v2/a/blobs/x"), &[]).unwrap();
        source.begin(0).await.unwrap();
        assert_eq!(rest(&mut source).await.unwrap(), whole, "{kind}");
        assert_eq!(upstream.ranges(), [None, Some("bytes=30000-".to_owned())], "{kind}");
        assert_eq!(source.tally().received(), 100_000, "{kind}");
    }
}

#[tokio::test]
async fn a_reset_goes_on_from_what_was_received() {
    let whole = content(100_000);
    let served = whole.clone();
    let (mut source, upstream) = source(move |request, before| match before {
        0 => Reply::ranged(request, &served).reset(30_000),
        _ => Reply::ranged(request, &served),
    })
    .await;
    // A reset may take bytes away that were on the way, the head with them.
    while source.begin(0).await.is_err() {}
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert!(upstream.seen().len() >= 2);
}

#[tokio::test]
async fn a_range_that_is_ignored_after_a_break_is_skipped() {
    let whole = content(1000);
    let served = whole.clone();
    let (mut source, upstream) = source(move |_, before| match before {
        0 => Reply::new(200).body(&served).cut(300),
        _ => Reply::new(200).body(&served),
    })
    .await;
    source.begin(0).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert_eq!(upstream.ranges()[1].as_deref(), Some("bytes=300-"));
    assert_eq!(source.tally().received(), 1300, "upstream sent the first 300 twice");
}

#[tokio::test]
async fn attempts_count_only_since_the_last_new_byte() {
    let whole = content(40);
    let served = whole.clone();
    let (mut source, upstream) = source(move |request, _| Reply::ranged(request, &served).cut(1)).await;
    source.begin(0).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert_eq!(upstream.seen().len(), 40);
}

#[tokio::test]
async fn five_attempts_without_a_new_byte_are_enough() {
    let whole = content(1000);
    let (mut source, upstream) = source(move |request, before| match before {
        0 => Reply::ranged(request, &whole).cut(300),
        // Skipped bytes are not new ones.
        1 => Reply::new(200).body(&whole).cut(200),
        2 => Reply::new(503),
        3 => Reply::raw(""),
        _ => Reply::ranged(request, &whole).cut(0),
    })
    .await;
    source.begin(0).await.unwrap();
    let error = rest(&mut source).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    // The connection that closed without an answer was asked twice: it might have been a kept one.
    assert_eq!(source.tally().statuses(), [200, 200, 503, 0, 206, 206, 206]);
    assert_eq!(upstream.seen().len(), 7);
}

#[tokio::test]
async fn the_size_learned_first_stays_true() {
    let whole = content(1000);
    for (offset, second) in [
        (300, Reply::new(206).header("Content-Range", "bytes 300-1000/1001").body(&[0; 701])),
        (300, Reply::new(200).body(&content(999))),
        (300, Reply::new(416).header("Content-Range", "bytes */300")),
    ] {
        let first = Reply::new(200).body(&whole).cut(offset);
        let (mut source, _upstream) =
            source(move |_, before| if before == 0 { first.clone() } else { second.clone() }).await;
        source.begin(0).await.unwrap();
        let error = rest(&mut source).await.unwrap_err();
        assert!(matches!(error, FetchError::SizeMismatch { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_206_that_gives_less_than_asked_goes_on() {
    let whole = content(1000);
    let served = whole.clone();
    let (mut source, upstream) = source(move |request, _| {
        let (start, end) = (request.offset(), (request.offset() + 300).min(1000));
        Reply::new(206).header("Content-Range", format!("bytes {start}-{}/1000", end - 1)).body(&served[start..end])
    })
    .await;
    assert_eq!(source.begin(0).await.unwrap(), Some(1000));
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn a_refusal_in_the_middle_ends_it_at_once() {
    let whole = content(1000);
    for (status, variant) in
        [(401, "Denied"), (403, "Denied"), (404, "NotFound"), (429, "RateLimited"), (400, "Upstream")]
    {
        let first = Reply::new(200).body(&whole).cut(300);
        let (mut source, upstream) =
            source(move |_, before| if before == 0 { first.clone() } else { Reply::new(status) }).await;
        source.begin(0).await.unwrap();
        let error = rest(&mut source).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
        assert_eq!(upstream.seen().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_first_answer_that_does_not_come_is_the_callers_to_decide() {
    let upstream = Upstream::new(|_, _| Reply::silence()).await;
    let mut source = hasty().source(&upstream.url("/"), &[]).unwrap();
    let error = source.begin(0).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { .. }), "{error}");
    assert_eq!((upstream.seen().len(), source.tally().statuses()), (1, vec![0]));
}

#[tokio::test]
async fn a_call_that_is_dropped_loses_no_byte() {
    let whole = content(50_000);
    let served = whole.clone();
    let (mut source, _upstream) = source(move |request, before| {
        let reply = Reply::ranged(request, &served);
        if before % 3 == 2 { reply } else { reply.cut(9_000) }
    })
    .await;
    source.begin(0).await.unwrap();
    let (mut bytes, mut patience) = (Vec::new(), Duration::from_micros(10));
    loop {
        match timeout(patience, source.next()).await {
            Ok(piece) => match piece.unwrap() {
                Some(piece) => bytes.extend(piece),
                None => break,
            },
            // Dropped wherever it was: in a pause, a connect, a wait for the head or for a piece.
            Err(_) => patience = patience * 5 / 4,
        }
    }
    assert_eq!(bytes, whole);
}
