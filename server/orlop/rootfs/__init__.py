"""From image layers to root file systems: workers inside the user namespace that read, write and copy trees."""
