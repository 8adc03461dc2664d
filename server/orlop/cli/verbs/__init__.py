"""One verb a file; each has `configure(parser)` and `run(arguments, engine)`."""
