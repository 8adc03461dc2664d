"""Running processes in containers: namespaces, mounts, the shim that outlives everybody, and what the host allows."""
