"""code-server: VS Code in the browser. One that is there, or a pinned one, by npm or as a release.

It asks for a password, which it takes from a file. Settings and key bindings that a person makes in
it are kept on the laptop, and given to the next machine.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Sequence

from towline.errors import ExitCode, UserError
from towline.services.base import Found, Service, Start, for_shell

VERSION = "4.139.1"
HEX = re.compile(r"[0-9a-f]{64}")
SETTINGS = "data/User/settings.json"
KEYS = "data/User/keybindings.json"
CONFIG = "auth: password\npassword: {secret:password}\ncert: false\n"


class CodeServer(Service):
    name = "code"
    title = "code-server"
    programs = ("code-server", "npm", "node")
    secret = "password"  # noqa: S105 - Its name.
    kept = (SETTINGS, KEYS)

    def __init__(
        self,
        program: str = "",
        extensions: Sequence[str] = (),
        download: str = "",
        sha256: str = "",
    ) -> None:
        self._program = program
        self._extensions = extensions
        self._download = download
        self._sha256 = sha256

    def program(self, found: Found) -> str:
        return self._program or found.programs.get("code-server", "")

    def install(self, found: Found) -> str:
        if self._download:
            return self._fetch()
        if "npm" in found.programs:
            return self._by_npm()
        raise UserError(
            "there is neither code-server on the machine nor npm to install it with",
            "set code.program to one that is there, or code.download and code.sha256 to a release",
            ExitCode.UNAVAILABLE,
        )

    def start(self, found: Found, program: str, folder: str) -> Start:
        places = (
            "--user-data-dir",
            "{directory}/data",
            "--extensions-dir",
            "{directory}/extensions",
        )
        quiet = ("telemetry", "update-check", "workspace-trust", "getting-started-override")
        return Start(
            argv=[
                *(program, "--config", "{directory}/config.yaml"),
                *("--socket", "{socket}", "--socket-mode", "600", *places),
                *(f"--disable-{what}" for what in quiet),
                folder,
            ],
            env={"PASSWORD": "", "HASHED_PASSWORD": ""},
            files={"config.yaml": CONFIG},
            secrets=(self.secret,),
            ready="/healthz",
            before=[
                [program, *places, "--install-extension", extension]
                for extension in self._extensions
            ],
        )

    def url(self, port: int, secret: str) -> str:
        return f"http://127.0.0.1:{port}/"

    def public_url(self, base: str, secret: str) -> str:
        return f"{base}/"

    def door(self, port: int, secret: str) -> str:
        """Fill in its form, as a person would."""
        action = html.escape(f"{self.url(port, secret)}login", quote=True)
        value = html.escape(secret, quote=True)
        return (
            f'<!DOCTYPE html><meta charset="utf-8"><title>{self.title}</title>'
            f'<form method="post" action="{action}">'
            f'<input type="hidden" name="password" value="{value}">'
            f"<button>{self.title}</button></form>"
            "<script>document.forms[0].submit()</script>\n"
        )

    # -- Installing ---------------------------------------------------------------------------

    def _by_npm(self) -> str:
        """The version is pinned, and npm checks what it gets against the digests of its index."""
        return (
            f'set -e; D={for_shell(self.own)}; rm -rf "$D"; mkdir -p "$D/lib"; umask 077; '
            'printf \'{"private":true}\' > "$D/lib/package.json"; '
            f'npm install --prefix "$D/lib" --no-fund --no-audit code-server@{VERSION}; '
            'mkdir "$D/bin"; ln -s ../lib/node_modules/.bin/code-server "$D/bin/code-server"'
        )

    def _fetch(self) -> str:
        """Nothing of the archive is used before it is known to be the one that is meant."""
        if not HEX.fullmatch(self._sha256):
            raise UserError(
                "code.sha256 must be the SHA-256 of code.download in hexadecimal",
                "nothing unknown is run",
                ExitCode.CONFIG,
            )
        if "://" in self._download and not self._download.startswith("https://"):
            raise UserError("code.download: https or a file", "", ExitCode.CONFIG)
        get = (
            f'curl -fsSL -o "$D/a.tgz" {shlex.quote(self._download)}'
            if "://" in self._download
            else f'cp {for_shell(self._download)} "$D/a.tgz"'
        )
        check = json.dumps(f"{self._sha256}  a.tgz")
        return (
            f'set -e; D={for_shell(self.own)}; rm -rf "$D"; mkdir -p "$D/lib"; umask 077; {get}; '
            f'(cd "$D" && printf "%s\\n" {check} | sha256sum -c -); '
            'tar xzf "$D/a.tgz" -C "$D/lib" --strip-components=1; rm "$D/a.tgz"; '
            'mkdir "$D/bin"; ln -s ../lib/bin/code-server "$D/bin/code-server"'
        )
