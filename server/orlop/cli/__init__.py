"""The terminal's door: verbs, flags, columns and exit codes as Docker's CLI has them."""
