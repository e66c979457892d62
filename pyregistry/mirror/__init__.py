"""Upstreams, and how their content gets here."""
