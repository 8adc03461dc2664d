"""How each kind of step is carried out, one kind a file."""
