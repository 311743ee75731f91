"""One file per way in; each holds one `ROUTE`. Whatever lies here is a route: see `catalog`."""
