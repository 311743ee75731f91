"""What the cloud that lends this machine says of its end: one cheap question to its own service.

Whose machine it is stands in what its firmware says (DMI): elsewhere nobody is asked. Each cloud is
a way to ask; what it answers becomes a `Notice`, or None. Blocking, with short limits: not for the
agent's loop. How these services answer is taken from what the clouds publish; none was asked for
real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol, cast

DMI = Path("/sys/class/dmi/id")
ADDRESS = "169.254.169.254"  # Of all three: it leads to the host, and no further.
TIMEOUT_S = 2.0
ANSWER_MAX = 256 << 10  # Bytes.
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"  # The chassis of each of their machines.

GOOGLE_S = 30.0  # From the notice to the end.
GOOGLE_MAINTENANCE_S = 3600.0  # Machines with a GPU are told an hour before.
GOOGLE = {"Metadata-Flavor": "Google"}
AZURE = {"Metadata": "true"}
AZURE_ENDS = {"Preempt": "takes it back", "Terminate": "deletes it", "Redeploy": "moves it"}


@dataclass(frozen=True, slots=True)
class Notice:
    """`at`: Unix time of the end."""

    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str

    def json(self) -> dict[str, Any]:
        """Return the object that it is. Raises ValueError."""
        plain: object = json.loads(self.text)
        if not isinstance(plain, dict):
            raise ValueError("not an object")
        return cast("dict[str, Any]", plain)


class Ask(Protocol):
    def __call__(self, path: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
        """Raises OSError, and ValueError for what is no answer."""
        ...


class Cloud(Protocol):
    def notice(self, now: float) -> Notice | None:
        """Ask once. Raises OSError, and ValueError or LookupError for what is not understood."""
        ...


class Google:
    """Compute Engine. It says that it ends, not when."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._began: dict[str, float] = {}  # Since when it has been said.

    def notice(self, now: float) -> Notice | None:
        instance = "/computeMetadata/v1/instance"
        if self._ask(f"{instance}/preempted", GOOGLE).text.strip() == "TRUE":
            return self._since("Google takes the machine back", GOOGLE_S, now)
        event = self._ask(f"{instance}/maintenance-event", GOOGLE).text.strip()
        if event == "TERMINATE_ON_HOST_MAINTENANCE":
            return self._since("Google stops it for maintenance", GOOGLE_MAINTENANCE_S, now)
        return None

    def _since(self, why: str, left_s: float, now: float) -> Notice:
        return Notice(self._began.setdefault(why, now) + left_s, why)


class Amazon:
    """EC2's spot instances. A token comes first, which lasts for hours."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._token = ""

    def notice(self, now: float) -> Notice | None:
        answer = self._asked()
        if answer.status == 401:
            self._token = ""
            answer = self._asked()
        if answer.status != 200:  # 404: there is none.
            return None
        said = answer.json()
        at = datetime.fromisoformat(str(said["time"]).replace("Z", "+00:00"))
        return Notice(at.timestamp(), f"Amazon takes the machine back ({said['action']})")

    def _asked(self) -> Answer:
        if not self._token:
            lasts = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
            self._token = self._ask("/latest/api/token", lasts, "PUT").text.strip()
        token = {"X-aws-ec2-metadata-token": self._token}
        return self._ask("/latest/meta-data/spot/instance-action", token)


class Azure:
    """Scheduled events: of all machines of a set, so what is told of others is passed over."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._name = ""

    def notice(self, now: float) -> Notice | None:
        if not self._name:
            name = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
            self._name = self._ask(name, AZURE).text.strip()
        said = self._ask("/metadata/scheduledevents?api-version=2020-07-01", AZURE).json()
        ends = [self._read(event, now) for event in said.get("Events", ())]
        return min((end for end in ends if end), key=lambda end: end.at, default=None)

    def _read(self, event: Mapping[str, Any], now: float) -> Notice | None:
        # Imported here, and in `ask_at`: only where one is asked.
        from email.utils import parsedate_to_datetime

        what = AZURE_ENDS.get(event["EventType"])
        if what is None or self._name not in event.get("Resources", ()):
            return None
        told = event.get("NotBefore", "")  # Empty once it has begun.
        at = parsedate_to_datetime(told).replace(tzinfo=timezone.utc).timestamp() if told else now
        return Notice(at, f"Azure {what}")


CLOUDS: Mapping[str, Callable[[Ask], Cloud]] = {"google": Google, "amazon": Amazon, "azure": Azure}


def cloud_of(dmi: Path = DMI) -> str:
    """Return whose machine this is, empty if nobody's who would be asked."""
    vendor, product = _read(dmi / "sys_vendor"), _read(dmi / "product_name")
    if product == "Google Compute Engine":
        return "google"
    if vendor == "Amazon EC2" or (
        vendor == "Xen" and _read(dmi / "bios_version").endswith("amazon")
    ):
        return "amazon"
    if vendor == "Microsoft Corporation" and _read(dmi / "chassis_asset_tag") == AZURE_TAG:
        return "azure"
    return ""


def ask_at(address: str) -> Ask:
    """Return what asks the service there. A proxy that the environment names is not used."""

    def ask(path: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
        import http.client

        connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(ANSWER_MAX).decode("utf-8", "replace"))
        except http.client.HTTPException as error:
            raise ValueError(f"no answer: {error!r}") from None
        finally:
            connection.close()

    return ask


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
