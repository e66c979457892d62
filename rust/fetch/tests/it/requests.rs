//! Small answers.

use pyregistry_fetch::{Client, FetchError, Origin, Settings, Wait};

use crate::upstream::{Reply, Upstream, client, hasty, headers};

async fn get(upstream: &Upstream, limit: u64) -> Result<pyregistry_fetch::Answer, FetchError> {
    client().request("GET", &upstream.url("/v2/?token=s3cr3t"), &[], None, limit).unwrap().await
}

#[tokio::test]
async fn any_status_is_an_answer() {
    for status in [200, 204, 304, 401, 404, 418, 429, 500, 503] {
        let upstream = Upstream::new(move |_, _| Reply::new(status).header("X-Thing", "a b")).await;
        let answer = get(&upstream, 100).await.unwrap();
        assert_eq!((answer.status, answer.headers["x-thing"].as_bytes()), (status, b"a b".as_slice()));
        assert_eq!(answer.url.to_string(), upstream.url("/v2/"), "printed without the query");
    }
}

#[tokio::test]
async fn method_headers_and_body_arrive() {
    let upstream = Upstream::new(|_, _| Reply::new(200).body(b"token")).await;
    let (url, body) = (upstream.url("/token"), Some(b"grant_type=password".as_slice().into()));
    let asked = headers(&[("Accept", "a/b"), ("Accept", "c/d"), ("Authorization", "Basic x")]);
    let answer = client().request("POST", &url, &asked, body, 100).unwrap().await.unwrap();
    assert_eq!(&answer.body[..], b"token");
    let seen = &upstream.seen()[0];
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("POST", b"grant_type=password".as_slice()));
    assert_eq!(seen.header("accept"), Some("a/b"));
    assert_eq!(seen.header("authorization"), Some("Basic x"));
    assert_eq!(seen.header("user-agent"), Some("pyregistry-test"));
    assert_eq!(seen.header("accept-encoding"), None, "nothing here decompresses");
}

#[tokio::test]
async fn a_large_answer_is_refused_announced_or_not() {
    for chunked in [false, true] {
        let upstream = Upstream::new(move |_, _| {
            let reply = Reply::new(200).body(&[7; 5000]);
            if chunked { reply.chunked() } else { reply }
        })
        .await;
        assert_eq!(get(&upstream, 5000).await.unwrap().body.len(), 5000);
        let error = get(&upstream, 4999).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 4999, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_head_may_announce_any_size() {
    let upstream = Upstream::new(|_, _| Reply::new(200).body(&[7; 5000])).await;
    let answer = client().request("HEAD", &upstream.url("/"), &[], None, 10).unwrap().await.unwrap();
    assert_eq!((answer.headers["content-length"].as_bytes(), answer.body.len()), (b"5000".as_slice(), 0));
}

#[tokio::test]
async fn no_listener_is_unreachable() {
    // Nothing listens on port 1 of the loopback.
    let url = "http://bob:hunter2@127.0.0.1:1/v2/?sig=s3cr3t";
    let error = client().request("GET", url, &[], None, 10).unwrap().await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert!(error.retryable() && error.origin() == Origin::Upstream);
    let text = format!("{error} {error:?}");
    assert!(text.contains("http://127.0.0.1:1/v2/") && text.contains("refused"), "{text}");
    assert!(!text.contains("s3cr3t") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn silence_is_a_timeout_that_tells_what_for() {
    let upstream = Upstream::new(|_, before| match before {
        0 => Reply::silence(),
        _ => Reply::new(200).body(&[7; 100]).stall(50),
    })
    .await;
    for expected in [Wait::Answer, Wait::Body] {
        let asked = hasty().request("GET", &upstream.url("/"), &[], None, 1000).unwrap();
        match asked.await.unwrap_err() {
            FetchError::Timeout { wait, .. } => assert_eq!(wait, expected),
            error => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_protocol_failure() {
    let upstream = Upstream::new(|_, _| Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
    let error = get(&upstream, 1000).await.unwrap_err();
    assert!(matches!(error, FetchError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn malformed_headers_do_not_hide_a_429() {
    let upstream = Upstream::new(|_, _| {
        Reply::raw("HTTP/1.1 429 Too Many Requests\r\nRetry After : 3\r\nno colon\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let answer = get(&upstream, 1000).await.unwrap();
    assert_eq!((answer.status, answer.headers["retry-after"].as_bytes()), (429, b"7".as_slice()));
}

#[tokio::test]
async fn a_kept_connection_that_upstream_closed_is_no_failure() {
    let upstream = Upstream::new(|_, before| match before {
        1 => Reply::raw(""),
        _ => Reply::new(200),
    })
    .await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(client.request("GET", &upstream.url("/"), &[], None, 10).unwrap().await.unwrap().status, 200);
    }
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn a_post_is_not_sent_twice() {
    let upstream = Upstream::new(|_, _| Reply::raw("")).await;
    let asked = client().request("POST", &upstream.url("/"), &[], Some("x".into()), 10).unwrap();
    assert!(matches!(asked.await.unwrap_err(), FetchError::Unreachable { .. }));
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_callers_mistakes_are_told_at_once_and_without_the_secret() {
    let client = client();
    let refused =
        |method: &str, url: &str, pairs: &[(&str, &str)]| match client.request(method, url, &headers(pairs), None, 1) {
            Err(error @ FetchError::Input { .. }) => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{method} {url} was taken"),
        };
    refused("GET", "nginx", &[]);
    refused("GE T", "http://x/", &[]);
    refused("GET", "http://x/", &[("a b", "c")]);
    let text = refused("GET", "http://x/", &[("Authorization", "Bearer s3cr3t\r\nX: y")]);
    assert!(text.contains("Authorization") && !text.contains("s3cr3t"), "{text}");
}

#[test]
fn a_bad_file_is_named() {
    let folder = std::env::temp_dir();
    let missing = folder.join("pyregistry-no-such-file.pem");
    let no_pem = std::path::PathBuf::from("/etc/hostname");
    for path in [missing, no_pem] {
        for settings in [
            Settings { ca_file: Some(path.clone()), ..Settings::new("t") },
            Settings { client_cert: Some(path.clone()), client_key: Some(path.clone()), ..Settings::new("t") },
        ] {
            let error = Client::new(settings).unwrap_err();
            assert_eq!(error.origin(), Origin::Client);
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        assert!(Client::new(Settings { client_cert: Some(path), ..Settings::new("t") }).is_err(), "a key is missing");
    }
}
