"""The program on the machine. Standard library only; it outlives the connection."""
