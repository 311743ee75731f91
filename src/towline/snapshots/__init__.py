"""Kept states of a project, by restic: where they lie, what is in them, how they come back."""
