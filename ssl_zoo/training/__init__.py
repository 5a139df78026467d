"""The common trainer: one loop, on Lightning, for every method."""
