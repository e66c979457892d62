"""Values and rules of the specifications."""
