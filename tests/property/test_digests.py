"""Digests against a model that looks at characters one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from pyregistry.oci.digests import InvalidDigest, algorithm, digest_of, encoded, parse_digest

LENGTHS = {"sha256": 64, "sha512": 128}


def is_digest(text: str) -> bool:
    """The rule, naively."""
    name, _, digits = text.partition(":")
    return name in LENGTHS and len(digits) == LENGTHS[name] and all(digit in "0123456789abcdef" for digit in digits)


def hexes(length: int) -> st.SearchStrategy[str]:
    """Lower-case hex."""
    return st.text("0123456789abcdef", min_size=length, max_size=length)


near_digests = st.one_of(
    st.text(),
    st.builds(
        "{}:{}".format,
        st.sampled_from(["sha256", "sha512", "SHA256", "md5", "", "sha256:"]),
        st.one_of(
            hexes(64),
            hexes(128),
            st.text("0123456789abcdefAF\n", min_size=63, max_size=65),
            st.text("0123456789abcdef:", min_size=127, max_size=129),
        ),
    ),
)


@given(near_digests)
@example("sha256:" + "0" * 64 + "\n")
def test_parses_what_the_model_allows(text: str) -> None:
    try:
        digest = parse_digest(text)
    except InvalidDigest:
        assert not is_digest(text)
    else:
        assert is_digest(text)
        assert f"{algorithm(digest)}:{encoded(digest)}" == text


@given(st.binary(), st.sampled_from(sorted(LENGTHS)))
def test_digests_of_data_are_digests(data: bytes, name: str) -> None:
    digest = digest_of(data, name)
    assert is_digest(digest)
    assert parse_digest(digest) == digest
    assert algorithm(digest) == name
