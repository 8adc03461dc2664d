"""The vocabulary every layer shares; does no I/O and reads no clock."""
