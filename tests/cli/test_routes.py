"""`towline routes`: what each needs, and whether it works here and now."""

from __future__ import annotations

import json

from towline.routes.catalog import routes


def listed(run):
    ended = run("routes", "--json")
    assert ended.code == 0
    return {row["route"]: row for row in map(json.loads, ended.out.splitlines())}


def test_every_route_is_listed_with_needs_limits_and_cost(run):
    rows = listed(run)
    assert list(rows) == [route.name for route in routes()]
    assert all(row["needs"] and row["limits"] and row["cost"] for row in rows.values())
    assert rows["bore"]["usable"] is True
    assert rows["cloudflared"]["carries"] == "http"


def test_what_is_missing_here_is_said(run, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    rows = listed(run)
    assert rows["pinggy"]["usable"] is False
    assert "install the OpenSSH client" in rows["pinggy"]["why_not"]


def test_a_secret_is_said_to_be_set_and_not_shown(run, monkeypatch):
    monkeypatch.setenv("NGROK_AUTHTOKEN", "s3cr3t")
    token = next(s for s in listed(run)["ngrok"]["settings"] if s["key"] == "ngrok.authtoken")
    assert token["set"] is True
    assert token["secret"] is True
    assert "s3cr3t" not in run("routes", "--json").out + run("routes").out


def test_people_see_a_line_and_three_below(run):
    lines = run("routes").out.splitlines()
    assert len(lines) == 4 * len(routes())
    assert [line.split()[0] for line in lines[1:4]] == ["needs:", "limits:", "cost:"]
