"""Turns a Dockerfile and a build context into an image: plan, cache keys, steps, commit."""
