//! Bounded ranges of a body, each on a connection of its own.

use pyregistry_fetch::FetchError;

use crate::upstream::{Reply, Upstream, client, content, rest};

const PATH: &str = "/v2/a/blobs/x";

#[tokio::test]
async fn a_range_ends_where_it_was_asked_to() {
    let whole = content(1000);
    let served = whole.clone();
    let upstream = Upstream::new(move |request, _| Reply::ranged(request, &served)).await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    for (start, end) in [(100, 200), (0, 50), (900, 1000), (950, 5000), (0, 1000)] {
        assert_eq!(source.begin_range(start, end).await.unwrap(), (Some(1000), false), "{start}");
        let (first, last) = (usize::try_from(start).unwrap(), usize::try_from(end.min(1000)).unwrap());
        assert_eq!(rest(&mut source).await.unwrap(), whole[first..last]);
    }
    assert_eq!(upstream.ranges()[0].as_deref(), Some("bytes=100-199"));
    assert_eq!(upstream.ranges()[4].as_deref(), Some("bytes=0-999"));
    assert_eq!(source.tally().received(), 100 + 50 + 100 + 50 + 1000);
}

#[tokio::test]
async fn a_range_that_breaks_goes_on_within_its_end() {
    let whole = content(1000);
    let served = whole.clone();
    let upstream = Upstream::new(move |request, before| match before {
        0 => Reply::ranged(request, &served).cut(30),
        _ => Reply::ranged(request, &served),
    })
    .await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    source.begin_range(100, 200).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole[100..200]);
    assert_eq!(upstream.ranges()[1].as_deref(), Some("bytes=130-199"));
}

#[tokio::test]
async fn a_body_that_sends_more_than_was_asked_for_is_cut() {
    let whole = content(1000);
    let served = whole.clone();
    let upstream = Upstream::new(move |_, _| {
        Reply::new(206).header("Content-Range", "bytes 100-299/1000").body(&served[100..300])
    })
    .await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    source.begin_range(100, 200).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole[100..200]);
}

#[tokio::test]
async fn an_upstream_without_ranges_says_so_and_sends_no_more() {
    for start in [0, 100] {
        let whole = content(2_000_000);
        let upstream = Upstream::new(move |_, _| Reply::new(200).body(&whole)).await;
        let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
        assert_eq!(source.begin_range(start, 200).await.unwrap(), (Some(2_000_000), true), "{start}");
        source.begin(0).await.unwrap();
        assert_eq!(rest(&mut source).await.unwrap().len(), 2_000_000, "a begin after it starts anew");
    }
}

#[tokio::test]
async fn a_200_to_a_range_that_is_the_whole_is_as_good() {
    let whole = content(100);
    let served = whole.clone();
    let upstream = Upstream::new(move |_, _| Reply::new(200).body(&served)).await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    assert_eq!(source.begin_range(0, 65536).await.unwrap(), (Some(100), false));
    assert_eq!(rest(&mut source).await.unwrap(), whole);
}

#[tokio::test]
async fn ranges_that_are_ignored_after_a_break_end_it() {
    let whole = content(1000);
    let upstream = Upstream::new(move |request, before| match before {
        0 => Reply::ranged(request, &whole).cut(0),
        _ => Reply::new(200).body(&whole),
    })
    .await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    source.begin_range(0, 200).await.unwrap();
    assert!(matches!(rest(&mut source).await, Err(FetchError::SizeMismatch { .. })));
}

#[tokio::test]
async fn a_range_past_the_end_tells_the_size() {
    let whole = content(1000);
    let upstream = Upstream::new(move |request, _| Reply::ranged(request, &whole)).await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    assert_eq!(source.begin_range(5000, 6000).await.unwrap(), (Some(1000), false));
    assert_eq!(rest(&mut source).await.unwrap(), b"");
    source.begin(0).await.unwrap();
    assert!(matches!(source.begin_range(5000, 6000).await, Ok((Some(1000), false))));
}

#[tokio::test]
async fn forks_share_counts_and_addresses() {
    let whole = content(1000);
    let target = {
        let whole = whole.clone();
        Upstream::new(move |request, _| Reply::ranged(request, &whole)).await
    };
    let location = target.url("/signed");
    let upstream = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    let source = client().source(&upstream.url(PATH), &[]).unwrap();
    for (start, end) in [(0, 300), (300, 1000)] {
        let mut fork = source.fork();
        fork.begin_range(start, end).await.unwrap();
        assert_eq!(rest(&mut fork).await.unwrap().len() as u64, end - start);
    }
    assert_eq!(source.tally().received(), 1000);
    assert_eq!(upstream.seen().len(), 1, "the second went to the address that the first learned");
    assert_eq!(target.seen().len(), 2);
}

#[tokio::test]
async fn an_address_that_expired_is_asked_for_anew() {
    let whole = content(1000);
    let target = {
        let whole = whole.clone();
        Upstream::new(move |request, before| match before {
            1 => Reply::new(403),
            _ => Reply::ranged(request, &whole),
        })
        .await
    };
    let location = target.url("/signed");
    let upstream = Upstream::new(move |_, _| Reply::new(307).header("Location", &location)).await;
    let mut source = client().source(&upstream.url(PATH), &[]).unwrap();
    for _ in 0..2 {
        source.begin_range(10, 20).await.unwrap();
        assert_eq!(rest(&mut source).await.unwrap(), whole[10..20]);
    }
    assert_eq!((upstream.seen().len(), target.seen().len()), (2, 3));
}
