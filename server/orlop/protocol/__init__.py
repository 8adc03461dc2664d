"""What travels between the editor and the engine: typed parameters and results, and the table of all methods."""
