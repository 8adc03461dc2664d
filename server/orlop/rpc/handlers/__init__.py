"""One noun a file: a handler takes typed parameters and a call, and returns a typed result."""
