"""The machine's own way in: an SSH server that needs neither root nor an installed sshd."""
