//! Small answers: tokens, manifests, tag lists, HEADs.

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::client::Client;
use crate::error::FetchError;
use crate::exchange::{Question, Received};
use crate::url::UpstreamUrl;

/// An answer held whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Upstream's status; any status is an answer.
    pub status: u16,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: UpstreamUrl,
}

impl Client {
    /// Checks the arguments at once; the future it gives asks, follows redirects and reads at most `limit` bytes of body.
    pub fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<Bytes>,
        limit: u64,
    ) -> Result<impl Future<Output = Result<Answer, FetchError>> + Send + 'static, FetchError> {
        let question = Question::new(method, url, headers, body)?;
        let client = self.clone();
        Ok(async move {
            let has_body = question.method != Method::HEAD;
            let received = client.exchange(question, None).await?;
            client.read_whole(received, has_body, limit).await
        })
    }

    async fn read_whole(&self, received: Received, has_body: bool, limit: u64) -> Result<Answer, FetchError> {
        let Received { mut response, url, .. } = received;
        let too_large = |url: &UpstreamUrl| FetchError::TooLarge { url: url.clone(), limit };
        // Refused before the first byte where the size is announced; a HEAD announces a body that does not come.
        if has_body && response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large(&url));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut response, &url).await? {
            if (body.len() + piece.len()) as u64 > limit {
                return Err(too_large(&url));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
            url,
        })
    }
}
