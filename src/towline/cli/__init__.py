"""The commands: one file each. They parse, call one thing, render, and return an exit code."""
