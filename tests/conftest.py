"""How hard Hypothesis tries: few examples at the desk, more in CI, very many in the soak."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadlines and no complaint about slow generation: both measure the machine, not the code.
COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", COMMON, max_examples=100)
settings.register_profile("ci", COMMON, max_examples=300, print_blob=True)
settings.register_profile("nightly", COMMON, max_examples=20_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))
