"""The use-cases of Orlop, one noun a file; both front-ends call only this."""
