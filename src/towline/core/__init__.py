"""Decisions and formats: no I/O, no clock, nothing beyond the standard library."""
