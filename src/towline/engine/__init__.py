"""Live sync on the laptop: watches, decides, and keeps the ancestor. Async, in anyio's words."""
