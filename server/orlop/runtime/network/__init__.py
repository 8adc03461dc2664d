"""The network of a container: a bridge when root, a user-mode stack when not, the host's when neither works."""
