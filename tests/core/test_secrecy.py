"""Names of variables that are taken for secrets, and names that are not."""

from __future__ import annotations

import pytest

from towline.core.secrecy import looks_secret


@pytest.mark.parametrize(
    "variable",
    ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "SSH_PASSPHRASE", "GOOGLE_CREDENTIALS",
     "PRIVATE_DATA", "OPENAI_APIKEY", "WANDB_API_KEY", "KEY", "SIGNING_KEY", "GH_PAT", "COOKIES",
     "hf_token", "Wandb_Api_Key"],
)  # fmt: skip
def test_a_name_that_speaks_of_a_secret_looks_secret(variable: str) -> None:
    assert looks_secret(variable)


@pytest.mark.parametrize(
    "variable", ["PATH", "LANG", "KEYBOARD", "MONKEY", "KEY_ORDER", "PATTERN", "CUDA_HOME", ""]
)
def test_another_name_does_not(variable: str) -> None:
    assert not looks_secret(variable)
