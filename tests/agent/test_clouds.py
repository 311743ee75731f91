"""A cloud's notice is understood, of this machine only; elsewhere nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.cloud_standin import TOKEN, CloudStandIn, cloud
from towline.agent.clouds import AZURE_TAG, Amazon, Azure, Google, Notice, ask_at, cloud_of

INSTANCE = "/computeMetadata/v1/instance"
SPOT = "/latest/meta-data/spot/instance-action"
NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"


@pytest.fixture
def standin() -> Iterator[CloudStandIn]:
    with cloud() as server:
        yield server


def test_google_says_that_it_ends_and_the_time_counts_from_then(standin: CloudStandIn) -> None:
    google = Google(ask_at(standin.at))
    pages = standin.pages
    pages |= {f"{INSTANCE}/preempted": "FALSE", f"{INSTANCE}/maintenance-event": "NONE"}
    assert google.notice(1000.0) is None
    pages[f"{INSTANCE}/maintenance-event"] = "MIGRATE_ON_HOST_MAINTENANCE"
    assert google.notice(1000.0) is None
    pages[f"{INSTANCE}/maintenance-event"] = "TERMINATE_ON_HOST_MAINTENANCE"
    assert google.notice(1000.0) == Notice(4600.0, "Google stops it for maintenance")
    pages[f"{INSTANCE}/preempted"] = "TRUE"
    assert google.notice(2000.0) == Notice(2030.0, "Google takes the machine back")
    assert google.notice(2010.0) == Notice(2030.0, "Google takes the machine back")


def test_amazon_is_asked_with_a_token_which_is_taken_anew_when_it_is_over(
    standin: CloudStandIn,
) -> None:
    amazon = Amazon(ask_at(standin.at))
    assert amazon.notice(0.0) is None
    standin.pages[SPOT] = json.dumps({"action": "terminate", "time": "2026-11-25T20:00:00Z"})
    standin.tokens.append(f"{TOKEN}-2")
    assert amazon.notice(0.0) == Notice(1795636800.0, "Amazon takes the machine back (terminate)")
    assert standin.asked == [SPOT, SPOT, SPOT]


def azure_event(kind: str, machine: str, not_before: str) -> dict[str, object]:
    return {
        "EventId": "1",
        "EventType": kind,
        "ResourceType": "VirtualMachine",
        "Resources": [machine],
        "EventStatus": "Scheduled",
        "NotBefore": not_before,
    }


def test_azure_tells_of_others_as_well(standin: CloudStandIn) -> None:
    azure = Azure(ask_at(standin.at))
    at = "Wed, 25 Nov 2026 20:00:00 GMT"
    told = [
        azure_event("Freeze", "gpu-1", at),
        azure_event("Preempt", "gpu-2", at),
        azure_event("Redeploy", "gpu-1", "Wed, 25 Nov 2026 21:00:00 GMT"),
    ]
    standin.pages |= {NAME: "gpu-1", EVENTS: json.dumps({"Events": told[:2]})}
    assert azure.notice(0.0) is None
    standin.pages[EVENTS] = json.dumps({"Events": told})
    assert azure.notice(0.0) == Notice(1795640400.0, "Azure moves it")
    told.append(azure_event("Preempt", "gpu-1", ""))
    standin.pages[EVENTS] = json.dumps({"Events": told})
    assert azure.notice(5.0) == Notice(5.0, "Azure takes it back")


@pytest.mark.parametrize(
    ("files", "whose"),
    [
        ({}, ""),
        ({"product_name": "Google Compute Engine", "sys_vendor": "Google"}, "google"),
        ({"sys_vendor": "Amazon EC2", "product_name": "g5.xlarge"}, "amazon"),
        ({"sys_vendor": "Xen", "bios_version": "4.11.amazon"}, "amazon"),
        ({"sys_vendor": "Xen", "bios_version": "4.11"}, ""),
        ({"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": AZURE_TAG}, "azure"),
        ({"sys_vendor": "Microsoft Corporation", "product_name": "Surface"}, ""),
        ({"sys_vendor": "QEMU"}, ""),
    ],
)
def test_whose_machine_it_is(tmp_path: Path, files: dict[str, str], whose: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert cloud_of(tmp_path) == whose
