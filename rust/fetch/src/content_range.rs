//! The `Content-Range` header (RFC 9110 section 14.4).

/// What an answer says about its place in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// First byte and the byte after the last; None in a 416.
    pub(crate) span: Option<(u64, u64)>,
    /// Bytes of the whole; None for `*`.
    pub(crate) total: Option<u64>,
}

/// None: not a byte range, or one that contradicts itself.
pub(crate) fn parse(value: &str) -> Option<ContentRange> {
    let (unit, rest) = value.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (span, total) = rest.trim().split_once('/')?;
    let total = match total.trim() {
        "*" => None,
        digits => Some(number(digits)?),
    };
    let span = match span.trim() {
        "*" => None,
        span => {
            let (first, last) = span.split_once('-')?;
            let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
            if start >= end || total.is_some_and(|total| end > total) {
                return None;
            }
            Some((start, end))
        }
    };
    (span.is_some() || total.is_some()).then_some(ContentRange { span, total })
}

/// Digits only: `u64::from_str` would take a sign too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges() {
        let some = |span, total| Some(ContentRange { span, total });
        for (value, expected) in [
            ("bytes 0-499/1234", some(Some((0, 500)), Some(1234))),
            ("bytes 734-1233/1234", some(Some((734, 1234)), Some(1234))),
            ("Bytes 5-5/*", some(Some((5, 6)), None)),
            ("bytes */1234", some(None, Some(1234))),
            ("bytes */*", None),
            ("bytes 0-1234/1234", None),
            ("bytes 5-4/10", None),
            ("bytes +0-4/10", None),
            ("bytes -4/10", None),
            ("bytes 0-/10", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes=0-4/10", None),
            ("items 0-4/10", None),
            ("", None),
        ] {
            assert_eq!(parse(value), expected, "{value:?}");
        }
    }
}
