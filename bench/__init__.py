"""How fast towline is, beside the tools people use today: `python -m bench`, or `nox -s bench`."""
