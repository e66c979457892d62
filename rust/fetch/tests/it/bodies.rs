//! Bodies: what an answer's head may say.

use pyregistry_fetch::{BodySource, FetchError};

use crate::upstream::{Reply, Request, Upstream, client, content, headers, rest};

async fn source(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> (BodySource, Upstream) {
    let upstream = Upstream::new(script).await;
    (client().source(&upstream.url("/v2/a/blobs/x"), &headers(&[("Authorization", "Bearer t")])).unwrap(), upstream)
}

/// What comes of a body of 1,000 bytes whose first answer is `reply`.
async fn begun(offset: u64, reply: Reply) -> Result<(Option<u64>, Vec<u8>), FetchError> {
    let (mut source, _upstream) = source(move |_, _| reply.clone()).await;
    let size = source.begin(offset).await?;
    Ok((size, rest(&mut source).await?))
}

#[tokio::test]
async fn a_whole_body() {
    let whole = content(3_000_000);
    let served = whole.clone();
    let (mut source, upstream) = source(move |request, _| Reply::ranged(request, &served)).await;
    assert!(upstream.seen().is_empty(), "nothing is sent before it is begun");
    assert_eq!(source.begin(0).await.unwrap(), Some(3_000_000));
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert_eq!(source.next().await.unwrap(), None, "an end stays an end");
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("authorization"), Some("Bearer t"));
    assert_eq!(seen.header("range"), None);
    assert_eq!((source.tally().received(), source.tally().statuses()), (3_000_000, vec![200]));
}

#[tokio::test]
async fn a_body_from_the_middle_and_begun_again() {
    let whole = content(1000);
    let served = whole.clone();
    let (mut source, upstream) = source(move |request, _| Reply::ranged(request, &served)).await;
    for offset in [400, 999, 0, 7] {
        assert_eq!(source.begin(offset).await.unwrap(), Some(1000));
        assert_eq!(rest(&mut source).await.unwrap(), whole[usize::try_from(offset).unwrap()..]);
    }
    let asked: Vec<_> = upstream.seen().iter().map(Request::offset).collect();
    assert_eq!(asked, [400, 999, 0, 7]);
}

#[tokio::test]
async fn an_ignored_range_is_skipped() {
    let whole = content(1000);
    for reply in [Reply::new(200).body(&whole), Reply::new(200).body(&whole).chunked()] {
        assert_eq!(begun(400, reply).await.unwrap().1, whole[400..]);
    }
}

#[tokio::test]
async fn no_size_is_told() {
    let whole = content(10_000);
    assert_eq!(begun(0, Reply::new(200).body(&whole).chunked()).await.unwrap(), (None, whole));
}

#[tokio::test]
async fn a_chunked_206_tells_its_size_by_content_range() {
    let whole = content(1000);
    let reply = Reply::new(206).header("Content-Range", "bytes 400-999/1000").body(&whole[400..]).chunked();
    assert_eq!(begun(400, reply).await.unwrap(), (Some(1000), whole[400..].to_vec()));
}

#[tokio::test]
async fn an_unknown_total_is_taken() {
    let whole = content(1000);
    let reply = Reply::new(206).header("Content-Range", "bytes 400-999/*").body(&whole[400..]);
    assert_eq!(begun(400, reply).await.unwrap(), (None, whole[400..].to_vec()));
}

#[tokio::test]
async fn a_content_range_that_contradicts_the_request_is_a_mismatch() {
    for range in ["bytes 0-999/1000", "bytes 401-999/1000", "bytes 399-999/1000"] {
        let error = begun(400, Reply::new(206).header("Content-Range", range).body(&[0; 600])).await.unwrap_err();
        assert!(matches!(error, FetchError::SizeMismatch { .. }), "{range}: {error}");
    }
}

#[tokio::test]
async fn a_206_without_a_content_range_is_not_understood() {
    let plain = Reply::new(206).body(&[0; 600]);
    let multipart = plain.clone().header("Content-Type", "multipart/byteranges; boundary=x");
    let bad = plain.clone().header("Content-Range", "bytes 400-1000/1000");
    for reply in [plain, multipart, bad] {
        let error = begun(400, reply).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_416_at_the_end_is_the_end() {
    let ended = Reply::new(416).header("Content-Range", "bytes */1000");
    assert_eq!(begun(1000, ended.clone()).await.unwrap(), (Some(1000), Vec::new()));
    for (offset, reply) in [(999, ended.clone()), (1001, ended), (1000, Reply::new(416))] {
        let error = begun(offset, reply).await.unwrap_err();
        assert!(matches!(error, FetchError::SizeMismatch { .. }), "{offset}: {error}");
    }
}

#[tokio::test]
async fn a_body_shorter_than_what_was_read_before_is_a_mismatch() {
    let error = begun(1001, Reply::new(200).body(&content(1000))).await.unwrap_err();
    assert!(matches!(error, FetchError::SizeMismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_body_longer_than_its_total_is_a_mismatch() {
    let reply = Reply::new(206).header("Content-Range", "bytes 400-999/1000").body(&[0; 601]).chunked();
    let error = begun(400, reply).await.unwrap_err();
    assert!(matches!(error, FetchError::SizeMismatch { .. }), "{error}");
}

#[tokio::test]
async fn statuses_of_the_url_itself_end_it_at_once() {
    let challenge = "Bearer realm=\"https://auth.example/token\",service=\"r\"";
    let date = "Fri, 31 Dec 2100 23:59:59 GMT";
    let cases = [
        (Reply::new(404), "NotFound"),
        (
            Reply::new(401).header("WWW-Authenticate", challenge).header("WWW-Authenticate", "Basic realm=\"r\""),
            "Denied",
        ),
        (Reply::new(403), "Denied"),
        (Reply::new(429).header("Retry-After", date), "RateLimited"),
        (Reply::new(429).header("Retry-After", "soon"), "RateLimited"),
        (Reply::new(503).header("Retry-After", "7"), "Upstream"),
        (Reply::new(500), "Upstream"),
        (Reply::new(400), "Upstream"),
        (Reply::new(204), "Upstream"),
        (Reply::new(416), "Upstream"),
    ];
    let mut told = Vec::new();
    for (reply, variant) in cases {
        let (mut source, upstream) = source(move |_, _| reply.clone()).await;
        let error = source.begin(0).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
        assert!(error.to_string().contains(&upstream.url("/v2/a/blobs/x")), "{error}");
        assert_eq!(source.tally().statuses(), [error.status().unwrap()]);
        told.push((error.challenge().map(str::to_owned), error.retry_after()));
    }
    assert_eq!(told[1].0.as_deref(), Some(format!("{challenge}, Basic realm=\"r\"").as_str()));
    let wishes: Vec<_> = told[3..6].iter().map(|(_, wish)| *wish).collect();
    assert_eq!(wishes, [Some(86_400.0), None, Some(7.0)]);
}
