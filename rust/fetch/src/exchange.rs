//! One question, its redirects, and the answer's head.

use std::error::Error;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tokio::time::timeout;

use crate::client::Client;
use crate::error::{FetchError, Wait};
use crate::redirect;
use crate::tally::Tally;
use crate::url::UpstreamUrl;

const MAX_REDIRECTS: usize = 10;

/// A request, checked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) url: UpstreamUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

/// An answer's head, its body still to come.
pub(crate) struct Received {
    pub(crate) response: Response,
    /// Who answered, after redirects.
    pub(crate) url: UpstreamUrl,
    /// What was sent there, credentials for other hosts taken out.
    pub(crate) headers: HeaderMap,
}

impl Question {
    pub(crate) fn new(
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<Bytes>,
    ) -> Result<Self, FetchError> {
        let input = |reason: String| FetchError::Input { reason };
        let url = UpstreamUrl::parse(url)?;
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| input(format!("{method:?} is no HTTP method")))?;
        let mut fields = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let field = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| input(format!("{name:?} is no name for a header")))?;
            // The value is not repeated: it may be a credential.
            let value = HeaderValue::from_str(value)
                .map_err(|_| input(format!("the value of header {name} has characters that no header can have")))?;
            fields.append(field, value);
        }
        Ok(Self { method, url, headers: fields, body })
    }
}

impl Client {
    /// Sends `question` and follows redirects to an answer's head.
    pub(crate) async fn exchange(&self, mut question: Question, tally: Option<&Tally>) -> Result<Received, FetchError> {
        let plain = !question.url.is_encrypted();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&question, tally).await?;
            let status = response.status();
            let Some(location) = redirect::location(status, response.headers()) else {
                if let Some(tally) = tally {
                    tally.add_answer(status.as_u16());
                }
                return Ok(Received { response, url: question.url, headers: question.headers });
            };
            redirect::follow(&mut question, status, location, plain)?;
        }
        let reason = format!("more than {MAX_REDIRECTS} redirects");
        Err(FetchError::Protocol { url: question.url, reason })
    }

    /// One request on one connection.
    async fn send(&self, question: &Question, tally: Option<&Tally>) -> Result<Response, FetchError> {
        let idempotent = matches!(question.method, Method::GET | Method::HEAD);
        let mut first = true;
        loop {
            let answered = timeout(self.progress_timeout(), self.send_once(question)).await;
            let error = match answered {
                Ok(Ok(response)) => return Ok(response),
                // A kept connection that upstream closed as we wrote to it says nothing about upstream: ask once more.
                Ok(Err(error)) if first && idempotent && !error.is_connect() && !error.is_timeout() => {
                    first = false;
                    None
                }
                Ok(Err(error)) => Some(self.no_answer(&question.url, error)),
                Err(_) => Some(self.timed_out(&question.url, Wait::Answer)),
            };
            if let Some(tally) = tally {
                tally.add_answer(0);
            }
            if let Some(error) = error {
                return Err(error);
            }
        }
    }

    async fn send_once(&self, question: &Question) -> Result<Response, reqwest::Error> {
        let mut request = self
            .http()
            .request(question.method.clone(), question.url.whole().clone())
            .headers(question.headers.clone());
        if let Some(body) = &question.body {
            request = request.body(body.clone());
        }
        request.send().await
    }

    /// The next piece of a body; None at its end.
    pub(crate) async fn piece(&self, response: &mut Response, url: &UpstreamUrl) -> Result<Option<Bytes>, FetchError> {
        match timeout(self.progress_timeout(), response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => {
                let reason = format!("the body broke off ({})", innermost(&error.without_url()));
                Err(FetchError::Unreachable { url: url.clone(), reason })
            }
            Err(_) => Err(self.timed_out(url, Wait::Body)),
        }
    }

    fn no_answer(&self, url: &UpstreamUrl, error: reqwest::Error) -> FetchError {
        if error.is_timeout() {
            return FetchError::Timeout { url: url.clone(), wait: Wait::Connection, after: self.connect_timeout() };
        }
        if causes(&error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
            let reason = format!("what came is no HTTP ({})", innermost(&error));
            return FetchError::Protocol { url: url.clone(), reason };
        }
        // reqwest's own text would print the URL with its query.
        FetchError::Unreachable { url: url.clone(), reason: innermost(&error.without_url()) }
    }

    fn timed_out(&self, url: &UpstreamUrl, wait: Wait) -> FetchError {
        FetchError::Timeout { url: url.clone(), wait, after: self.progress_timeout() }
    }
}

/// The first cause: "Connection refused (os error 111)", not the four wrappings around it.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}
