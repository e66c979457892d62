//! The `Retry-After` header (RFC 9110 section 10.2.3), as it comes.

use std::time::SystemTime;

/// Longer wishes are taken for mistakes: nobody waits for days.
const LONGEST: f64 = 86_400.0;

/// Seconds from `now` that the header asks to wait. None where it cannot be understood: a bad wish is no reason to fail.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<f64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then(|| seconds.min(LONGEST));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    // A time that is over, or a clock that differs: do not wait.
    Some(at.duration_since(now).map_or(0.0, |wait| wait.as_secs_f64().min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_are_understood_and_bad_ones_ignored() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("120", Some(120.0)),
            (" 7 ", Some(7.0)),
            ("0.5", Some(0.5)),
            ("0", Some(0.0)),
            ("99999999999", Some(LONGEST)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60.0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60.0)),
            ("Sun Nov  6 08:50:37 1994", Some(60.0)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0.0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(LONGEST)),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse(value, now), expected, "{value:?}");
        }
    }
}
