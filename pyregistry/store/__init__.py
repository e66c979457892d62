"""Content and facts: the native store and the metadata database."""
