"""What the editor shows of a Dockerfile: pure functions from its tree to the protocol's values."""
