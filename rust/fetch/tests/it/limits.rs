//! Limits for requests and bytes that the caller keeps.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pyregistry_fetch::{Limits, Tally};

use crate::upstream::{Reply, Upstream, client, content, rest};

/// Remembers what it was told; each request and each piece costs a moment.
#[derive(Debug, Default)]
struct Told {
    requests: Mutex<usize>,
    bytes: Mutex<Vec<usize>>,
}

const MOMENT: Duration = Duration::from_millis(5);

impl Limits for Told {
    fn ask(&self) -> Duration {
        *self.requests.lock().unwrap() += 1;
        MOMENT
    }

    fn receive(&self, bytes: usize) -> Duration {
        self.bytes.lock().unwrap().push(bytes);
        MOMENT
    }
}

#[tokio::test]
async fn every_request_and_every_piece_of_a_body_and_its_forks_waits_its_turn() {
    let whole = content(200_000);
    let served = whole.clone();
    let upstream = Upstream::new(move |request, before| match before {
        0 => Reply::ranged(request, &served).cut(100_000),
        _ => Reply::ranged(request, &served),
    })
    .await;
    let told = Arc::new(Told::default());
    let mut source = client().source(&upstream.url("/"), &[]).unwrap().within(told.clone());
    let mut fork = source.fork();
    let began = Instant::now();
    source.begin(0).await.unwrap();
    assert_eq!(rest(&mut source).await.unwrap(), whole);
    fork.begin_range(0, 10).await.unwrap();
    assert_eq!(rest(&mut fork).await.unwrap(), whole[..10]);
    let (requests, pieces) = (*told.requests.lock().unwrap(), told.bytes.lock().unwrap().len());
    assert_eq!((requests, upstream.ranges().len()), (3, 3), "the first, the one after the break, the fork's");
    assert_eq!(told.bytes.lock().unwrap().iter().sum::<usize>(), 200_010);
    // The last piece of each is waited for by nobody.
    let turns = u32::try_from(requests + pieces - 2).unwrap();
    assert!(began.elapsed() >= MOMENT * turns, "{:?} for {requests} and {pieces}", began.elapsed());
}

#[tokio::test]
async fn a_limit_that_one_of_several_connections_meets_is_told() {
    let upstream = Upstream::new(|_, _| Reply::new(429).header("Retry-After", 7)).await;
    let source = client().source(&upstream.url("/"), &[]).unwrap();
    let tally: Arc<Tally> = source.tally();
    let mut fork = source.fork();
    let (pause, refused) = tokio::join!(tally.limited(), fork.begin_range(0, 10));
    assert!(refused.is_err());
    assert!((pause - 7.0).abs() < f64::EPSILON, "{pause}");
}
