"""A real repository in the folder on the machine, by git's own transport over the Line."""
