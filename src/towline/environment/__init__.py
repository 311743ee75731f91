"""What the user installed on a machine, in a file of the project, and on the next machine."""
