//! The Range header of a request (RFC 9110 section 14.1.2).

/// The most ranges one request may ask for; a longer header is ignored.
pub const MAX_RANGES: usize = 1024;

/// Byte ranges of `header` for a body of `size` bytes, as (start, end) with `end` exclusive and clamped to `size`, in the order
/// asked, not merged; unsatisfiable ones among several are left out.
///
/// One that ends before it begins is unsatisfiable: section 14.2 lets a server reject it, and the OCI conformance suite
/// wants 416.
///
/// None: not a byte range, malformed, or over [`MAX_RANGES`], so the header is ignored (section 14.2). Empty: nothing
/// satisfiable, answer 416 (section 15.5.17).
pub fn parse(header: &str, size: u64) -> Option<Vec<(u64, u64)>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    let mut asked = 0;
    // Empty list elements are to be accepted (section 5.6.1.2).
    for spec in set.split(',').map(trim).filter(|spec| !spec.is_empty()) {
        asked += 1;
        if asked > MAX_RANGES {
            return None;
        }
        let (first, last) = spec.split_once('-')?;
        let (start, end) = if first.is_empty() {
            let suffix = number(last)?;
            (size.saturating_sub(suffix), size)
        } else {
            let start = number(first)?;
            let end = if last.is_empty() { size } else { number(last)?.saturating_add(1).min(size) };
            (start, end)
        };
        if start < end {
            ranges.push((start, end));
        }
    }
    (asked > 0).then_some(ranges)
}

/// Without the optional white space around a list element (RFC 9110 section 5.6.3).
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `1*DIGIT`; a number past 64 bits is past every end.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_the_rfc() {
        for (header, size, expected) in [
            ("bytes=0-499", 10_000, Some(vec![(0, 500)])),
            ("bytes=500-999", 10_000, Some(vec![(500, 1000)])),
            ("bytes=-500", 10_000, Some(vec![(9500, 10_000)])),
            ("bytes=9500-", 10_000, Some(vec![(9500, 10_000)])),
            ("bytes=0-0,-1", 10_000, Some(vec![(0, 1), (9999, 10_000)])),
            ("bytes= 0-999, 4500-5499, -1000", 10_000, Some(vec![(0, 1000), (4500, 5500), (9000, 10_000)])),
            ("bytes=500-700,601-999", 10_000, Some(vec![(500, 701), (601, 1000)])),
            ("Bytes=1-2", 10, Some(vec![(1, 3)])),
            ("bytes=0-99", 10, Some(vec![(0, 10)])),
            ("bytes=-99", 10, Some(vec![(0, 10)])),
            ("bytes=10-", 10, Some(vec![])),
            ("bytes=-0", 10, Some(vec![])),
            ("bytes=99-,1-1", 10, Some(vec![(1, 2)])),
            ("bytes=0-", 0, Some(vec![])),
            ("bytes=0-99999999999999999999999", 10, Some(vec![(0, 10)])),
            ("bytes=0-18446744073709551615", 10, Some(vec![(0, 10)])),
            ("bytes=,0-1,,", 10, Some(vec![(0, 2)])),
            ("bytes=5-4", 10, Some(vec![])),
            ("bytes=1-2,5-4", 10, Some(vec![(1, 3)])),
            ("bytes=a-4", 10, None),
            ("bytes=+1-4", 10, None),
            ("bytes=1 - 4", 10, None),
            ("bytes=-", 10, None),
            ("bytes=", 10, None),
            ("bytes=,", 10, None),
            ("bytes", 10, None),
            ("items=0-1", 10, None),
            ("", 10, None),
        ] {
            assert_eq!(parse(header, size), expected, "{header:?} of {size}");
        }
    }

    #[test]
    fn ignores_too_many() {
        let most = vec!["0-0"; MAX_RANGES].join(",");
        assert_eq!(parse(&format!("bytes={most}"), 1).map(|ranges| ranges.len()), Some(MAX_RANGES));
        assert_eq!(parse(&format!("bytes={most},0-0"), 1), None);
    }

    /// What the RFC says, byte by byte: the positions that one range names.
    fn named(first: Option<u64>, last: Option<u64>, size: u64) -> Vec<u64> {
        (0..size)
            .filter(|&position| match (first, last) {
                (Some(first), Some(last)) => position >= first && position <= last,
                (Some(first), None) => position >= first,
                (None, Some(suffix)) => position + suffix >= size,
                (None, None) => false,
            })
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(
            specs in prop::collection::vec((prop::option::of(0u64..40), prop::option::of(0u64..40)), 1..6),
            size in 0u64..30,
        ) {
            let text: Vec<String> = specs.iter().map(|(first, last)| {
                let show = |number: &Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
                format!("{}-{}", show(first), show(last))
            }).collect();
            let malformed = specs.contains(&(None, None));
            let answer = parse(&format!("bytes={}", text.join(", ")), size);
            if malformed {
                prop_assert_eq!(answer, None);
            } else {
                let expected: Vec<Vec<u64>> = specs.iter()
                    .map(|(first, last)| named(*first, *last, size))
                    .filter(|positions| !positions.is_empty())
                    .collect();
                let got: Vec<Vec<u64>> = answer.unwrap().into_iter().map(|(start, end)| (start..end).collect()).collect();
                prop_assert_eq!(got, expected);
            }
        }

        #[test]
        fn never_panics(header in "(bytes=)?[0-9, \t-]{0,40}|\\PC{0,40}", size: u64) {
            for (start, end) in parse(&header, size).unwrap_or_default() {
                prop_assert!(start < end && end <= size);
            }
        }
    }
}
