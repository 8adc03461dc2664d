"""What the first process of a container does before it becomes the user's program; frozen imports, lean."""
