"""Who does what where. Left out is what would say nothing, or take a run past a coffee."""

from __future__ import annotations

from bench.peers import PEERS

SLOW_COPIERS = {"unison", "unison-watch", "lsyncd-1"}  # lsyncd-1 copies as lsyncd-0 does.

# Scene → peers that can say something about it; all, where it is not named.
FEW: dict[str, set[str]] = {
    "sizes": {"towline", "lsyncd-0", "rsync-loop", "mutagen"},
    "hog": {"towline", "floor", "lsyncd-0", "mutagen"},
    "resume": {"towline", "floor", "lsyncd-0", "mutagen"},
}
# Place and scene → peers left out to save time.
LEFT_OUT: dict[tuple[str, str], set[str]] = {
    ("loopback", "small"): {"lsyncd-1", "unison-watch"},
    ("loopback", "large"): SLOW_COPIERS,
    ("wan", "django"): {"unison-watch"},
    ("wan", "small"): SLOW_COPIERS,
    ("wan", "large"): {*SLOW_COPIERS, "tar.zst", "syncthing"},
}
# Workload of a scene → peers left out of it.
NOT_BULK = {"floor", "lsyncd-1", "unison-watch"}


def peers_of(scene: str, place: str, chosen: list[str]) -> list[str]:
    """Return those of the chosen peers that take part."""
    out = LEFT_OUT.get((place, scene), set())
    return [name for name in chosen if name in FEW.get(scene, PEERS) and name not in out]


def left_out(place: str, scene: str) -> str:
    """Return a sentence on who was left out to save time; "" if nobody was."""
    names = [name for name in PEERS if name in LEFT_OUT.get((place, scene), set())]
    return f"{place}: {', '.join(names)} left out of “{scene}” to save time" if names else ""
