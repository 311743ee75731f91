"""What every shell of the machine gets, and what it does not."""

from __future__ import annotations

import pytest

from towline.machine.environment import SIZE_MAX, passed_on

COLAB = {
    "PATH": "/opt/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/bin",
    "LD_LIBRARY_PATH": "/usr/lib64-nvidia",
    "LIBRARY_PATH": "/usr/local/cuda/lib64/stubs",
    "PYTHONPATH": "/env/python",
    "COLAB_RELEASE_TAG": "release-colab_20260730",
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "CUDA_VERSION": "12.8",
    "UV_SYSTEM_PYTHON": "true",
}


def test_what_finds_the_gpu_is_passed_on() -> None:
    assert passed_on(COLAB, "/root") == COLAB


@pytest.mark.parametrize(
    "name",
    [
        "JPY_PARENT_PID",
        "MPLBACKEND",
        "SHLVL",
        "PWD",
        "OLDPWD",
        "_",
        "TERM",
        "HOSTNAME",
        "SSH_CONNECTION",
        "SSH_AUTH_SOCK",
        "DISPLAY",
        "XDG_RUNTIME_DIR",
        "KERNEL_ID",
        "LOGNAME",
        "USER",
        "SHELL",
        "TMUX_PANE",
    ],
)
def test_what_belongs_to_one_process_or_login_is_not(name: str) -> None:
    assert passed_on({name: "x"}, "/root") == {}


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "WANDB_API_KEY",
        "DB_PASSWORD",
        "github_token",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "OPENAI_APIKEY",
        "SSH_PRIVATE",
        "GH_PAT",
    ],
)
def test_what_looks_like_a_secret_is_not(name: str) -> None:
    assert passed_on({name: "x"}, "/root") == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "x\ny"), ("A", "x\0"), ("A B", "x"), ("A;B", "x"), ("F%%", "()")],
)
def test_what_a_line_of_sshds_configuration_cannot_hold_is_not(name: str, value: str) -> None:
    assert passed_on({name: value}, "/root") == {}


def test_a_home_of_its_own_is_passed_on_the_accounts_is_not() -> None:
    assert passed_on({"HOME": "/root"}, "/root") == {}
    assert passed_on({"HOME": "/content/me"}, "/root") == {"HOME": "/content/me"}


def test_there_is_a_limit_to_all_of_it() -> None:
    many = {f"N{number:04}": "x" * 1000 for number in range(200)}
    kept = passed_on(many, "/root")
    assert 0 < sum(len(k) + len(v) for k, v in kept.items()) <= SIZE_MAX
