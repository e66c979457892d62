"""Repository names: the `<name>` of the OCI distribution spec (section Pull)."""

from __future__ import annotations

import re
from typing import Final, NewType

#: A repository name that was checked.
Name = NewType("Name", str)

#: The spec leaves the limit to implementations and says that many clients refuse more than this, host name included.
MAX_NAME_LENGTH: Final = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")


class InvalidName(ValueError):
    """Not a repository name; the message says what is wrong."""


def is_name(text: str) -> bool:
    """Whether `text` is a repository name."""
    return len(text) <= MAX_NAME_LENGTH and _NAME.fullmatch(text) is not None


def parse_name(text: str) -> Name:
    """`text` as a repository name. Raises InvalidName."""
    if not is_name(text):
        raise InvalidName(_why_invalid(text))
    return Name(text)


def _why_invalid(text: str) -> str:
    if len(text) > MAX_NAME_LENGTH:
        return f"a repository name has at most {MAX_NAME_LENGTH} characters, not {len(text)}"
    if not text:
        return "the repository name is empty"
    component = next(part for part in text.split("/") if _NAME.fullmatch(part) is None)
    if not component:
        return f"repository name {text!r} has an empty component"
    return (
        f"component {component!r} of the repository name is not of lower-case letters and digits, "
        "separated by single dots, one or two underscores, or hyphens"
    )
