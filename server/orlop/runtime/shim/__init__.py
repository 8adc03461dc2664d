"""The small process that stays with one container: it owns its terminal, log, exit code and attach socket."""
