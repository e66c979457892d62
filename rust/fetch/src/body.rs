//! A body that goes on after a break, from any offset.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::Client;
use crate::content_range::{self, ContentRange};
use crate::error::FetchError;
use crate::exchange::{Question, Received};
use crate::limits::Limits;
use crate::retry_after;
use crate::tally::Tally;

/// Attempts to go on without one new byte between them.
const MAX_ATTEMPTS: u32 = 5;

/// One body upstream. Cancel-safe: a call that is dropped loses no byte, and the next one goes on.
pub struct BodySource {
    client: Client,
    /// The question as asked; its answer may be a redirect.
    question: Question,
    /// Where the last answer came from, while it is good: a signed URL lives for minutes, and only in here.
    located: Option<Question>,
    /// The same, as the newest of all forks knows it.
    shared: Arc<Mutex<Option<Question>>>,
    response: Option<Response>,
    /// Offset of the next byte to hand out.
    position: u64,
    /// Where what was asked for ends; None: with the whole.
    end: Option<u64>,
    /// Bytes of the present answer that come before `position`.
    skip: u64,
    /// Bytes of the whole, once some answer told.
    size: Option<u64>,
    ended: bool,
    /// Failures since the last new byte.
    failures: u32,
    tally: Arc<Tally>,
    limits: Option<Arc<dyn Limits>>,
    /// Before then nothing more is read.
    due: Option<Instant>,
}

/// Why there is no body yet.
enum Setback {
    /// A signed URL that expired, or whose host will not have it: resolve again.
    Expired(FetchError),
    Failed(FetchError),
}

impl BodySource {
    pub(crate) fn new(client: Client, question: Question) -> Self {
        Self {
            client,
            question,
            located: None,
            shared: Arc::default(),
            response: None,
            position: 0,
            end: None,
            skip: 0,
            size: None,
            ended: false,
            failures: 0,
            tally: Arc::default(),
            limits: None,
            due: None,
        }
    }

    /// The same, within limits for its requests and its bytes, and those of its forks.
    #[must_use]
    pub fn within(self, limits: Arc<dyn Limits>) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Counts that go on while the body comes.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// A number for the host that is asked, the same in every process; where it redirects to does not count.
    pub fn host(&self) -> u64 {
        self.question.url.origin_number()
    }

    /// Another source of the same body, on a connection of its own: its bytes count with this one's, and what was learned of the
    /// address is shared.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            size: self.size,
            tally: Arc::clone(&self.tally),
            limits: self.limits.clone(),
            ..Self::new(self.client.clone(), self.question.clone())
        }
    }

    /// Drops whatever is under way.
    pub fn stop(&mut self) {
        self.response = None;
        self.ended = true;
    }

    /// Asks for the bytes from `offset` to `end`, which may be past the body's end. Answers the size of the whole, if upstream tells,
    /// and whether upstream ignores ranges: then nothing more may be asked of this source but [`BodySource::begin`].
    pub async fn begin_range(&mut self, offset: u64, end: u64) -> Result<(Option<u64>, bool), FetchError> {
        self.response = None;
        self.located = self.shared();
        (self.position, self.end, self.ended, self.failures) = (offset, Some(end), false, 0);
        loop {
            match self.open().await {
                // It begins at 0, and there is no use for what comes before `offset`.
                Ok(()) if self.skip > 0 || self.end.is_none() => {
                    self.stop();
                    return Ok((self.size, true));
                }
                Ok(()) => return Ok((self.size, false)),
                Err(Setback::Expired(error)) => {
                    self.located = None;
                    self.count_failure(error)?;
                }
                Err(Setback::Failed(error)) => return Err(error),
            }
            sleep(self.client.pause(self.failures)).await;
        }
    }

    fn shared(&self) -> Option<Question> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the body from `offset` and answers the size of the whole, if upstream tells. May be called again.
    ///
    /// Only a refused redirect target is asked for again here: whether another place is tried is the caller's to decide.
    pub async fn begin(&mut self, offset: u64) -> Result<Option<u64>, FetchError> {
        (self.response, self.located) = (None, None);
        (self.position, self.end, self.ended, self.failures) = (offset, None, false, 0);
        loop {
            match self.open().await {
                Ok(()) => return Ok(self.size),
                Err(Setback::Expired(error)) => self.count_failure(error)?,
                Err(Setback::Failed(error)) => return Err(error),
            }
            sleep(self.client.pause(self.failures)).await;
        }
    }

    /// The next bytes; None at the end of what was asked for.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            if self.ended || self.end.or(self.size) == Some(self.position) {
                self.response = None;
                self.ended = true;
                return Ok(None);
            }
            if let Some(due) = self.due {
                sleep_until(due).await;
                self.due = None;
            }
            let Some(response) = &mut self.response else {
                self.go_on().await?;
                continue;
            };
            let url = self.located.as_ref().map_or(&self.question.url, |located| &located.url);
            match self.client.piece(response, url).await {
                Ok(Some(piece)) => {
                    if let Some(fresh) = self.accept(piece)? {
                        return Ok(Some(fresh));
                    }
                }
                Ok(None) => self.clean_end()?,
                Err(error) => {
                    self.response = None;
                    self.count_failure(error)?;
                }
            }
        }
    }

    /// Asks for the rest after a break. The target of the last redirect is asked first, `url` itself from then on.
    async fn go_on(&mut self) -> Result<(), FetchError> {
        sleep(self.client.pause(self.failures)).await;
        let bounded = self.end.is_some();
        match self.open().await {
            Ok(()) if bounded && (self.skip > 0 || self.end.is_none()) => {
                self.stop();
                Err(self.mismatch("ranges are ignored now".to_owned()))
            }
            Ok(()) => Ok(()),
            Err(Setback::Expired(error)) => {
                self.located = None;
                self.count_failure(error)
            }
            Err(Setback::Failed(error)) => {
                let passes = match &error {
                    FetchError::Unreachable { .. } | FetchError::Timeout { .. } => true,
                    FetchError::Upstream { status, .. } => *status >= 500,
                    _ => false,
                };
                if !passes {
                    return Err(error);
                }
                self.located = None;
                self.count_failure(error)
            }
        }
    }

    fn count_failure(&mut self, error: FetchError) -> Result<(), FetchError> {
        self.failures += 1;
        // A time-out is a long wait already: no second one in a row.
        let most = if matches!(error, FetchError::Timeout { .. }) { 1 } else { MAX_ATTEMPTS };
        if self.failures > most { Err(error) } else { Ok(()) }
    }

    /// One request from `position`, and what its head says.
    async fn open(&mut self) -> Result<(), Setback> {
        let mut question = self.located.clone().unwrap_or_else(|| self.question.clone());
        question.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.position > 0 || self.end.is_some() {
            let last = self.end.map(|end| (end - 1).to_string()).unwrap_or_default();
            let range = HeaderValue::try_from(format!("bytes={}-{last}", self.position))
                .map_err(|error| Setback::Failed(FetchError::Input { reason: error.to_string() }))?;
            question.headers.insert(header::RANGE, range);
        }
        if let Some(limits) = &self.limits {
            sleep(limits.ask()).await;
        }
        let received = self.client.exchange(question, Some(&self.tally)).await.map_err(Setback::Failed)?;
        let placed = match received.response.status() {
            StatusCode::OK => self.whole(&received),
            StatusCode::PARTIAL_CONTENT => self.part(&received),
            StatusCode::RANGE_NOT_SATISFIABLE if self.position > 0 || self.end.is_some() => {
                return self.beyond(&received);
            }
            _ => return Err(self.refused(&received)),
        };
        self.skip = placed.map_err(Setback::Failed)?;
        let Received { response, url, headers } = received;
        self.response = Some(response);
        self.located = Some(Question { url, headers, ..self.question.clone() });
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.located);
        Ok(())
    }

    /// 200: the whole body, from 0 whatever was asked. Answers how much of it to skip.
    fn whole(&mut self, received: &Received) -> Result<u64, FetchError> {
        let length = content_length(received);
        if self.end.is_some_and(|end| self.position == 0 && length.is_none_or(|length| length > end)) {
            // More than was asked for.
            self.end = None;
        }
        self.learn(received, length)?;
        self.end = self.end.map(|end| length.map_or(end, |length| end.min(length)));
        Ok(self.position)
    }

    /// 206: must begin where we asked.
    fn part(&mut self, received: &Received) -> Result<u64, FetchError> {
        let Some(ContentRange { span: Some((start, _)), total }) = range_of(received) else {
            let reason = "a 206 without a Content-Range that can be understood".to_owned();
            return Err(FetchError::Protocol { url: received.url.clone(), reason });
        };
        if start != self.position {
            let reason = format!("asked for byte {} and got byte {start}", self.position);
            return Err(FetchError::SizeMismatch { url: received.url.clone(), reason });
        }
        self.learn(received, total)?;
        self.end = self.end.map(|end| total.map_or(end, |total| end.min(total)));
        Ok(0)
    }

    /// 416: right where all bytes are here already, else the body is shorter than it was.
    fn beyond(&mut self, received: &Received) -> Result<(), Setback> {
        let total = range_of(received).and_then(|range| range.total);
        if let Some(total) = total
            && self.end.is_some()
            && self.position >= total
        {
            // A range past the end: the size is all there is to learn.
            if self.size.is_none_or(|known| known == total) {
                (self.size, self.ended) = (Some(total), true);
                return Ok(());
            }
        }
        self.learn(received, total).map_err(Setback::Failed)?;
        if self.size == Some(self.position) {
            self.ended = true;
            return Ok(());
        }
        let reason = format!("416 to the bytes from {} on", self.position);
        Err(Setback::Failed(FetchError::SizeMismatch { url: received.url.clone(), reason }))
    }

    /// The size of the whole: what was learned first must stay true.
    fn learn(&mut self, received: &Received, total: Option<u64>) -> Result<(), FetchError> {
        let mismatch = |reason| Err(FetchError::SizeMismatch { url: received.url.clone(), reason });
        let Some(total) = total else { return Ok(()) };
        if let Some(known) = self.size.filter(|known| *known != total) {
            return mismatch(format!("announced as {known} bytes before and as {total} now"));
        }
        if total < self.position {
            return mismatch(format!("has {total} bytes, and {} were read from it before", self.position));
        }
        self.size = Some(total);
        Ok(())
    }

    fn refused(&self, received: &Received) -> Setback {
        let (status, url) = (received.response.status().as_u16(), received.url.clone());
        let headers = received.response.headers();
        let elsewhere = !url.same_origin(&self.question.url);
        let retry_after = || {
            let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
            retry_after::parse(value, SystemTime::now())
        };
        match status {
            400 | 401 | 403 | 410 if elsewhere => {
                Setback::Expired(FetchError::Upstream { url, status, retry_after: None })
            }
            404 => Setback::Failed(FetchError::NotFound { url }),
            401 => Setback::Failed(FetchError::Denied { url, status, challenge: challenge(headers) }),
            403 => Setback::Failed(FetchError::Denied { url, status, challenge: None }),
            429 => {
                let retry_after = retry_after();
                if let Some(wish) = retry_after {
                    self.tally.limit(wish);
                }
                Setback::Failed(FetchError::RateLimited { url, retry_after })
            }
            _ => Setback::Failed(FetchError::Upstream { url, status, retry_after: retry_after() }),
        }
    }

    /// Counts a piece and gives what is new of it.
    fn accept(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, FetchError> {
        self.tally.add_bytes(piece.len());
        if let Some(limits) = &self.limits {
            self.due = Instant::now().checked_add(limits.receive(piece.len()));
        }
        let old = usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
        self.skip -= old as u64;
        let mut fresh = piece.split_off(old);
        if let Some(most) = self.end.and_then(|end| usize::try_from(end - self.position).ok()) {
            fresh.truncate(most);
        }
        if fresh.is_empty() {
            return Ok(None);
        }
        self.position += fresh.len() as u64;
        self.failures = 0;
        match self.size {
            Some(size) if self.position > size => Err(self.mismatch(format!("longer than the announced {size} bytes"))),
            _ => Ok(Some(fresh)),
        }
    }

    /// The answer ended. Without a size that is all there is to know; else the rest is asked for.
    fn clean_end(&mut self) -> Result<(), FetchError> {
        self.response = None;
        match self.size {
            None if self.skip == 0 && self.end.is_none() => {
                self.ended = true;
                Ok(())
            }
            _ if self.end == Some(self.position) => {
                self.ended = true;
                Ok(())
            }
            None => Err(self.mismatch(format!("ended {} bytes before where it broke off", self.skip))),
            Some(size) => {
                let error = self.mismatch(format!("ended at {} of {size} bytes", self.position));
                self.count_failure(error)
            }
        }
    }

    fn mismatch(&self, reason: String) -> FetchError {
        FetchError::SizeMismatch { url: self.question.url.clone(), reason }
    }
}

fn content_length(received: &Received) -> Option<u64> {
    received.response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn range_of(received: &Received) -> Option<ContentRange> {
    content_range::parse(received.response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?)
}

fn challenge(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}
