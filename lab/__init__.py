"""What tests and benchmarks start around towline: a WAN link, other Pythons. Never shipped."""
