"""How events and status look: live in a terminal, as lines, as JSON. Nothing is decided here."""
