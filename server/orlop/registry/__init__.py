"""Registries: a client of the OCI distribution protocol, its logins, and Docker Hub's own interface."""
