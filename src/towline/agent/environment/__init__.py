"""What was installed on this machine beyond its image: seen, kept apart, and put back."""
