"""The editor's door: JSON-RPC over stdio, every request answered, every operation cancellable."""
