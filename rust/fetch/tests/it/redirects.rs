//! Redirects: what goes where.

use pyregistry_fetch::FetchError;

use crate::upstream::{Reply, Upstream, client, content, headers, rest};

const SECRETS: [(&str, &str); 3] = [("Authorization", "Bearer t"), ("Cookie", "c=d"), ("Accept", "a/b")];

#[tokio::test]
async fn credentials_do_not_leave_their_host_and_do_not_come_back() {
    // 127.0.0.1 -> localhost (another name) -> 127.0.0.1 again.
    let upstream = Upstream::new(|request, _| {
        let port = request.header("host").unwrap().split(':').nth(1).unwrap().to_owned();
        match request.path.as_str() {
            "/a" => Reply::new(307).header("Location", "/b"),
            "/b" => Reply::new(307).header("Location", format!("http://localhost:{port}/c")),
            "/c" => Reply::new(302).header("Location", format!("http://127.0.0.1:{port}/d")),
            _ => Reply::new(200),
        }
    })
    .await;
    let answer = client().request("GET", &upstream.url("/a"), &headers(&SECRETS), None, 10).unwrap().await.unwrap();
    assert_eq!((answer.status, answer.url.to_string()), (200, upstream.url("/d")));
    let sent: Vec<_> = upstream
        .seen()
        .iter()
        .map(|request| {
            let has = |name| request.header(name).is_some();
            (request.path.clone(), has("authorization"), has("cookie"), has("accept"))
        })
        .collect();
    let expected =
        [("/a", true, true, true), ("/b", true, true, true), ("/c", false, false, true), ("/d", false, false, true)];
    assert_eq!(sent, expected.map(|(path, a, b, c)| (path.to_owned(), a, b, c)));
}

#[tokio::test]
async fn credentials_do_not_go_to_another_port() {
    let other = Upstream::new(|_, _| Reply::new(200)).await;
    let location = other.url("/x");
    let upstream = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    client().request("GET", &upstream.url("/a"), &headers(&SECRETS), None, 10).unwrap().await.unwrap();
    assert_eq!(other.seen()[0].header("authorization"), None);
    assert_eq!(other.seen()[0].header("accept"), Some("a/b"));
}

#[tokio::test]
async fn credentials_in_the_url_do_not_follow_either() {
    let other = Upstream::new(|_, _| Reply::new(200)).await;
    let location = other.url("/x");
    let upstream = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    let url = format!("http://bob:hunter2@127.0.0.1:{}/a", upstream.port);
    client().request("GET", &url, &[], None, 10).unwrap().await.unwrap();
    assert!(upstream.seen()[0].header("authorization").is_some());
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn ten_redirects_are_followed_and_not_more() {
    let upstream = Upstream::new(|request, _| {
        let left: u32 = request.path[1..].parse().unwrap();
        if left == 0 { Reply::new(200) } else { Reply::new(302).header("Location", format!("/{}", left - 1)) }
    })
    .await;
    let ask = async |path: &str| client().request("GET", &upstream.url(path), &[], None, 10).unwrap().await;
    assert_eq!(ask("/10").await.unwrap().status, 200);
    assert!(matches!(ask("/11").await.unwrap_err(), FetchError::Protocol { .. }));
}

#[tokio::test]
async fn a_redirect_without_location_is_an_answer() {
    let upstream = Upstream::new(|_, _| Reply::new(301)).await;
    let answer = client().request("GET", &upstream.url("/"), &[], None, 10).unwrap().await.unwrap();
    assert_eq!(answer.status, 301);
    let error = client().source(&upstream.url("/"), &[]).unwrap().begin(0).await.unwrap_err();
    assert!(matches!(error, FetchError::Upstream { status: 301, .. }), "{error}");
}

#[tokio::test]
async fn an_expired_target_is_resolved_again() {
    let whole = content(100_000);
    let served = whole.clone();
    let cdn = Upstream::new(move |request, before| match (request.path.as_str(), before) {
        ("/blob?sig=0", 0) => Reply::ranged(request, &served).cut(40_000),
        // The first signature is over; S3, Azure and others each have their status for it.
        ("/blob?sig=0", _) => Reply::new([400, 401, 403, 410][before % 4]),
        _ => Reply::ranged(request, &served),
    })
    .await;
    let base = cdn.url("/blob?sig=");
    let registry = Upstream::new(move |_, before| Reply::new(307).header("Location", format!("{base}{before}"))).await;
    let mut source = client().source(&registry.url("/v2/a/blobs/x"), &headers(&SECRETS)).unwrap();
    assert_eq!(source.begin(0).await.unwrap(), Some(100_000));
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    let asked: Vec<_> = cdn.seen().iter().map(|request| (request.path.clone(), request.offset())).collect();
    let expected = [("/blob?sig=0", 0), ("/blob?sig=0", 40_000), ("/blob?sig=1", 40_000)];
    assert_eq!(asked, expected.map(|(path, offset)| (path.to_owned(), offset)));
    assert!(cdn.seen().iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(source.tally().statuses(), [200, 401, 206]);
    assert_eq!(source.tally().received(), 100_000);
}

#[tokio::test]
async fn a_target_that_never_agrees_is_upstreams_failure_and_not_ours_to_log_in_to() {
    let cdn = Upstream::new(|_, _| Reply::new(403).header("WWW-Authenticate", "Basic realm=x")).await;
    let location = cdn.url("/blob?sig=s3cr3t");
    let registry = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    let error = client().source(&registry.url("/v2/a/blobs/x"), &[]).unwrap().begin(0).await.unwrap_err();
    assert!(matches!(error, FetchError::Upstream { status: 403, .. }), "{error}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert_eq!(registry.seen().len(), 6, "asked once, and five times again");
}

#[tokio::test]
async fn a_target_that_does_not_connect_is_resolved_again() {
    let whole = content(1000);
    let served = whole.clone();
    let cdn = Upstream::new(move |request, before| match before {
        0 => Reply::ranged(request, &served).cut(400),
        1 | 2 => Reply::raw(""),
        _ => Reply::ranged(request, &served),
    })
    .await;
    let location = cdn.url("/blob");
    let registry = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    let mut source = client().source(&registry.url("/"), &[]).unwrap();
    source.begin(0).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    assert_eq!(registry.seen().len(), 2, "the second time because the target broke");
    assert_eq!(source.tally().statuses(), [200, 0, 0, 206]);
}
