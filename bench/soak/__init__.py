"""A real link under edits on both sides and a bad network, for long: `python -m bench.soak`."""
