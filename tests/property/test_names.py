"""Repository names against a model written as a hand-made reader of the spec's grammar."""

from hypothesis import given
from hypothesis import strategies as st

from pyregistry.oci.names import MAX_NAME_LENGTH, InvalidName, is_name, parse_name

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def is_component(text: str) -> bool:
    """Letters and digits, separated by one dot, one or two underscores, or hyphens."""
    if not text or text[0] not in LETTERS or text[-1] not in LETTERS:
        return False
    separator = ""
    for character in text:
        if character in LETTERS:
            if separator and separator not in {".", "_", "__"} and set(separator) != {"-"}:
                return False
            separator = ""
        else:
            separator += character
    return True


def model(text: str) -> bool:
    """The rule, naively."""
    return len(text) <= MAX_NAME_LENGTH and all(is_component(part) for part in text.split("/"))


components = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True)
names = st.lists(components, min_size=1, max_size=6).map("/".join)
near_names = st.one_of(st.text(), st.text("ab0._-/A:\n", max_size=20), names, names.map(lambda name: name * 20))


@given(near_names)
def test_accepts_what_the_model_allows(text: str) -> None:
    assert is_name(text) == model(text)
    try:
        assert parse_name(text) == text
    except InvalidName:
        assert not model(text)


@given(names, names)
def test_names_join(first: str, second: str) -> None:
    joined = f"{first}/{second}"
    assert is_name(joined) == (len(joined) <= MAX_NAME_LENGTH)
