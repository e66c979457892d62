"""Why an import or export is refused. The messages say what, and what to do."""

from __future__ import annotations


class Refused(Exception):
    """The repository does not take what the layout has."""


class NotHere(Exception):
    """What is to be exported is not on disk."""
