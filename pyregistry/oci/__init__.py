"""Values and rules of the OCI specifications. No I/O."""
