"""Moving images between any two places that implement the content ports."""
