"""The Dockerfile language: text to a lossless tree, typed instructions, stages, problems and lint rules.

Start reading at `parser.parse`. Nothing here reads files, the environment or a clock, and parsing never raises.
"""
