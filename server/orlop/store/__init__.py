"""Images, layers, blobs and build cache on disk, shared by any number of processes."""
