"""From a destination to a live Line: ssh, the bundle, bootstrap, resume. Async."""
