"""WWW-Authenticate, well-formed and as it is seen in the wild."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyregistry.mirror.challenges import parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
        ),
        ('Basic realm="upstream"', [("basic", {"realm": "upstream"})]),
        ("Basic", [("basic", {})]),
        ('bEARER ReAlM = "x" , SERVICE= y', [("bearer", {"realm": "x", "service": "y"})]),
        ('Bearer realm="x" service="y"', [("bearer", {"realm": "x", "service": "y"})]),
        ('Bearer realm="x",,service="y",', [("bearer", {"realm": "x", "service": "y"})]),
        ("Bearer realm=https://x/token?a=b,service=y", [("bearer", {"realm": "https://x/token?a=b", "service": "y"})]),
        (r'Basic realm="a \"quoted\" name, with a comma"', [("basic", {"realm": 'a "quoted" name, with a comma'})]),
        ('Bearer realm="never ends, service=y', [("bearer", {"realm": "never ends, service=y"})]),
        ('Bearer realm="x", Basic realm="y"', [("bearer", {"realm": "x"}), ("basic", {"realm": "y"})]),
        ('Basic realm="y" Bearer realm="x"', [("basic", {"realm": "y"}), ("bearer", {"realm": "x"})]),
        ('Negotiate, Basic realm="y"', [("negotiate", {}), ("basic", {"realm": "y"})]),
        ('Negotiate YWJj/==, Bearer realm="x"', [("negotiate", {}), ("bearer", {"realm": "x"})]),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ('realm="of nothing"', []),
        ('Bearer realm=""', [("bearer", {"realm": ""})]),
        ("", []),
        (" ,, ,", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges([header])] == expected


def test_every_header_counts_in_order() -> None:
    found = parse_challenges(['Basic realm="a"', 'Bearer realm="b",service="c"'])
    assert [(one.scheme, one.realm, one.service) for one in found] == [("basic", "a", ""), ("bearer", "b", "c")]


@given(st.lists(st.text(max_size=200), max_size=3))
@example(['Bearer realm="\\'])
@example(["Bearer realm=\x00\udcff"])
@example(['="""'])
def test_nothing_raises(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


_TOKEN = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz-"), min_size=1, max_size=8)
_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_CHALLENGES = st.lists(st.tuples(_TOKEN, st.dictionaries(_TOKEN, _VALUE, min_size=1, max_size=4)), max_size=4)


@given(_CHALLENGES, st.data())
def test_what_was_written_is_read(challenges: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    """However it is spaced and separated, as long as values are quoted."""

    def gap(*choices: str) -> str:
        return data.draw(st.sampled_from(choices))

    written = []
    for scheme, parameters in challenges:
        parts = []
        for name, value in parameters.items():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'{name}{gap("", " ")}={gap("", " ")}"{escaped}"')
        written.append(f"{scheme} {gap('', ' ')}" + gap(",", ", ", " ,", " ").join(parts))
    header = gap(",", ", ", ",,").join(written)
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges([header])] == challenges
