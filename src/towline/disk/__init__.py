"""Blocking work on one folder: scan, watch, stage, apply. Knows no network and no peer."""
