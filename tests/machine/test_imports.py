"""What a laptop of any system imports of `machine`: nothing that a Unix alone has."""

from __future__ import annotations

import subprocess
import sys


def test_a_laptop_without_unix_modules_can_take_a_ticket() -> None:
    program = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'termios', 'pty', 'grp', 'resource'):\n"
        "    sys.modules[name] = None\n"
        "import towline.enrolment, towline.proxy, towline.machines, towline.there\n"
        "import towline.ssh_config, towline.carry, towline.machine.keys\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
