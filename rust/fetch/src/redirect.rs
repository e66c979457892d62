//! Where a redirect leads, and what may go there (I11).

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};

use crate::error::FetchError;
use crate::exchange::Question;
use crate::url::UpstreamUrl;

/// What speaks for us, and only to the host it was given for.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// The location of a redirect; None for any other answer.
pub(crate) fn location(status: StatusCode, headers: &HeaderMap) -> Option<&header::HeaderValue> {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308).then(|| headers.get(header::LOCATION))?
}

/// Turns `question` into the one that the redirect asks for. `plain` says that the first URL was not encrypted.
///
/// Credentials are taken out of the question when the origin changes: a redirect back does not bring them back.
pub(crate) fn follow(
    question: &mut Question,
    status: StatusCode,
    location: &header::HeaderValue,
    plain: bool,
) -> Result<(), FetchError> {
    let refuse = |url: &UpstreamUrl, reason: String| FetchError::Protocol { url: url.clone(), reason };
    let text = std::str::from_utf8(location.as_bytes())
        .map_err(|_| refuse(&question.url, "a redirect to something that is no text".to_owned()))?;
    let next = question.url.join(text).map_err(|reason| refuse(&question.url, reason))?;
    if !next.is_encrypted() && !plain {
        return Err(refuse(&question.url, format!("a redirect from https to {next} was not followed")));
    }
    // What answers only this machine (a cloud's credentials at 169.254.169.254 do) is not upstream's to send us to.
    if next.is_of_this_machine() && !question.url.is_of_this_machine() {
        return Err(refuse(&question.url, format!("a redirect into this machine, to {next}, was not followed")));
    }
    let rewritten = status == StatusCode::SEE_OTHER || question.method == Method::POST && status.as_u16() <= 302;
    if rewritten && question.method != Method::HEAD {
        question.method = Method::GET;
        question.body = None;
        question.headers.remove(header::CONTENT_TYPE);
    }
    if !question.url.same_origin(&next) {
        // A body can hold a password or a refresh token (OAuth2 token requests do).
        if question.body.is_some() {
            return Err(refuse(
                &question.url,
                format!("a redirect of a request with a body to {next} was not followed"),
            ));
        }
        for name in &CREDENTIALS {
            question.headers.remove(name);
        }
    }
    question.url = next;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(method: &str, url: &str, body: Option<&'static str>) -> Question {
        let headers = [("Authorization", "Bearer t"), ("Cookie", "c"), ("Accept", "*/*")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Question::new(method, url, &headers, body.map(|text| text.as_bytes().into())).unwrap()
    }

    fn go(question: &mut Question, status: u16, to: &str, plain: bool) -> Result<(), FetchError> {
        follow(question, StatusCode::from_u16(status).unwrap(), &to.parse().unwrap(), plain)
    }

    #[test]
    fn credentials_stay_on_their_origin() {
        let mut asked = question("GET", "https://registry.example/v2/a", None);
        go(&mut asked, 307, "/v2/b", false).unwrap();
        assert_eq!(asked.headers.len(), 3);
        go(&mut asked, 307, "https://cdn.example/x?sig=1", false).unwrap();
        assert_eq!(asked.headers.keys().collect::<Vec<_>>(), ["accept"]);
        go(&mut asked, 307, "https://registry.example/v2/a", false).unwrap();
        assert_eq!(asked.headers.keys().collect::<Vec<_>>(), ["accept"], "they do not come back");
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        for to in ["http://registry.example:8080/x", "https://registry.example/x", "http://other.example/x"] {
            let mut asked = question("GET", "http://registry.example/v2/a", None);
            go(&mut asked, 302, to, true).unwrap();
            assert!(!asked.headers.contains_key("authorization"), "{to}");
        }
    }

    #[test]
    fn a_downgrade_is_refused_unless_the_first_url_was_plain() {
        let mut asked = question("GET", "https://registry.example/v2/a", None);
        let error = go(&mut asked, 307, "http://cdn.example/x?sig=s3cr3t", false).unwrap_err();
        assert!(matches!(error, FetchError::Protocol { .. }));
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        go(&mut asked, 307, "http://cdn.example/x", true).unwrap();
    }

    #[test]
    fn a_body_goes_to_no_other_origin() {
        let mut asked = question("POST", "https://auth.example/token", Some("password=hunter2"));
        assert!(go(&mut asked, 307, "https://evil.example/token", false).is_err());
        go(&mut asked, 308, "/v2/token", false).unwrap();
        assert!(asked.body.is_some());
        go(&mut asked, 303, "https://other.example/done", false).unwrap();
        assert_eq!((asked.method, asked.body), (Method::GET, None));
    }

    #[test]
    fn nobody_outside_leads_into_this_machine() {
        for to in [
            "http://127.0.0.1/x",
            "http://127.1:9000/x",
            "http://0x7f000001/x",
            "http://0.0.0.0/x",
            "http://localhost/x",
            "http://LOCALHOST.:5000/x",
            "http://a.localhost/x",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/x",
            "http://[::]/x",
            "http://[fe80::1]/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://[::127.0.0.1]/x",
            "http://[fd00:ec2::254]/latest/meta-data/",
        ] {
            let mut asked = question("GET", "http://registry.example/v2/a", None);
            assert!(matches!(go(&mut asked, 307, to, true), Err(FetchError::Protocol { .. })), "{to}");
            let mut asked = question("GET", "http://127.0.0.1:5000/v2/a", None);
            assert!(go(&mut asked, 307, to, true).is_ok(), "{to}");
        }
        for to in ["http://10.0.0.5:9000/x", "http://8.8.8.8/x", "http://[2001:db8::1]/x", "http://localhost.example/x"]
        {
            let mut asked = question("GET", "http://registry.example/v2/a", None);
            assert!(go(&mut asked, 307, to, true).is_ok(), "{to}");
        }
    }

    #[test]
    fn only_http_urls_are_followed() {
        for to in ["ftp://x/", "file:///etc/passwd", "https://"] {
            let mut asked = question("GET", "https://registry.example/v2/a", None);
            assert!(matches!(go(&mut asked, 302, to, false), Err(FetchError::Protocol { .. })), "{to}");
        }
    }
}
