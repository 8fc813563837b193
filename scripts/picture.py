"""Draw README's picture: what a terminal shows after `devnet up` and `devnet status`.

    .venv/bin/python scripts/picture.py docs/devnet.svg

Runs both for real, in a home folder of its own, and wipes the network afterwards. It needs the
default ports, for they are in the picture.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
COLUMNS = 112
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"
"""Rich would have browsers fetch one from elsewhere."""
COMMANDS = ("scripts/devnet up", "scripts/devnet status")


def main(target: Path) -> None:
    """Run, record, draw."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with tempfile.TemporaryDirectory() as home:
        try:
            for command in COMMANDS:
                shown = on_a_terminal(command, home).replace(home, "/home/you")
                console.print(Text("$ ", style="bold green") + Text(command, style="bold"))
                console.print(Text.from_ansi(shown.rstrip()))
                if command != COMMANDS[-1]:
                    console.print()
        finally:
            on_a_terminal("scripts/devnet down --wipe", home)
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    frame = re.sub(r"font-family: (Fira Code|arial)[^;]*;", f"font-family: {FONTS};", frame)
    target.write_text(console.export_svg(title="groat", theme=MONOKAI, unique_id="devnet", code_format=frame))


def on_a_terminal(command: str, home: str) -> str:
    """What stays on the screen: spinners are on standard error, and gone at the end."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("GROAT_", "XDG_"))}
    environment |= {"HOME": home, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "50"}
    leader, terminal = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=ROOT, env=environment, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE
        )
        os.close(terminal)
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(errors.decode())
        shown = b""
        try:
            while piece := screen.read(65_536):
                shown += piece
        except OSError:  # Linux's way of saying end of file
            pass
    return shown.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
