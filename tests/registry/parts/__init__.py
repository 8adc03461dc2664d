"""The other side of the registry client: real registries, token servers and wires that fail on purpose."""
