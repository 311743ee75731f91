"""The notebook's end: no cell runs before what was saved is here, and loaded. Python >= 3.10."""
