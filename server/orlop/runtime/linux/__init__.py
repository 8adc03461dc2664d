"""The kernel's interfaces, one noun per file; only the standard library, so that lean interpreters load it fast."""
