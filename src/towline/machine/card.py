"""What `up` shows: the line for the laptop, and what is worth knowing with it. Pure.

As lines for a terminal, and as HTML for a notebook; neither asks anything of a network.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterator

from towline.core.ticket import Ticket, encode
from towline.machine.place import Json

_SERVERS = {"sshd": "OpenSSH's sshd", "embedded": "towline's own SSH server"}

_COPY = (
    "const t=this.previousElementSibling;"
    "if(navigator.clipboard)navigator.clipboard.writeText(t.textContent);"
    "const r=document.createRange();r.selectNodeContents(t);"
    "const s=getSelection();s.removeAllRanges();s.addRange(r);this.textContent='copied'"
)

_CARD = """\
<div style="border:1px solid #8888;border-radius:6px;padding:10px 14px;max-width:60em">
<div><b>{title}</b></div>
<div style="margin:6px 0">On your laptop, in the project folder:</div>
<div style="display:flex;gap:8px;align-items:start">
<code style="overflow-wrap:anywhere;flex:1">{line}</code>
<button onclick="{copy}">copy</button></div>
<div style="margin-top:6px;opacity:.75">{notes}</div>
</div>"""


def as_text(ticket: Ticket, status: Json) -> Iterator[str]:
    """Yield what stands around the line for the laptop."""
    yield _title(ticket, status)
    yield from notes(ticket, status)
    yield "on your laptop, in the project folder:"


def as_html(ticket: Ticket, status: Json) -> str:
    return _CARD.format(
        title=html.escape(_title(ticket, status)),
        line=html.escape(f"towline link {encode(ticket)}"),
        copy=html.escape(_COPY),
        notes="<br>".join(html.escape(note) for note in notes(ticket, status)),
    )


def progress_as_html(sentence: str) -> str:
    return f'<div style="opacity:.75">towline: {html.escape(sentence)} …</div>'


def notes(ticket: Ticket, status: Json) -> Iterator[str]:
    if ticket.secret is None:
        yield "the ticket holds no secret: it serves laptops that are known here"
    else:
        until = time.strftime("%H:%M", time.localtime(ticket.expires))
        yield f"it lets one laptop in, once, until {until} by this machine's clock"
    if status.get("until"):
        until = time.strftime("%H:%M", time.localtime(status["until"]))
        yield f"expect this machine to live until {until}: {status['life']}"


def _title(ticket: Ticket, status: Json) -> str:
    routes = ", ".join(str(route["route"]) for route in status["routes"])
    return f"{ticket.alias} can be reached ({_SERVERS[status['server']]}, by {routes})"
