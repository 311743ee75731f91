"""Ways in: tunnels that make a port of this machine reachable, one file per provider."""
