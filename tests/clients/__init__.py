"""Programs of other projects, as they are published, against a fresh node."""
