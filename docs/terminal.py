"""Record a command at a terminal as an animated picture: docs/terminal.svg of the README.

python docs/terminal.py rnnlm run demo
"""

import fcntl
import io
import os
import pty
import re
import select
import shlex
import struct
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 100, 40
FRAMES = 14  # pictures while the command runs, each at another stage
SECONDS = 1.0  # for which each picture is shown
LAST = 8.0  # for which the end is shown
CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def record(command: list[str]) -> list[tuple[float, str]]:
    """Run a command at its own terminal. Return its output, with the seconds since the beginning."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        os.execvp(command[0], command)  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began, written, rest = time.monotonic(), [], b""
    while True:
        select.select([terminal], [], [])
        try:
            rest += os.read(terminal, 65536)
        except OSError:  # it has ended
            break
        text = rest.decode(errors="ignore")
        written.append((time.monotonic() - began, text))
        rest = b""
        print(text, end="", flush=True)
    os.waitpid(process, 0)
    return written


def screen(text: str) -> list[str]:
    """Return the lines that a terminal shows after this text, with their colours."""
    text = re.sub(r"\x1b(\[[0-9;?]*)?$", "", text)  # a control sequence that was read in two pieces
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", text):
        control = CONTROL.fullmatch(part)
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control and control[2] == "A":
            row = max(0, row - int(control[1] or 1))
        elif control and control[2] == "K":
            lines[row] = ""
        elif part != "\r" and not (control and control[2] != "m"):
            lines[row] += part
    while lines and not CONTROL.sub("", lines[-1]).strip():
        lines.pop()
    return lines


def animated(frames: list[list[str]], title: str) -> str:
    """Return an SVG of pictures that follow each other in an endless loop."""
    total = SECONDS * (len(frames) - 1) + LAST
    groups, style = [], []
    for n, lines in enumerate(frames):
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        for line in lines + [""] * (ROWS - len(lines)):
            console.print(Text.from_ansi(line), soft_wrap=True)
        svg = console.export_svg(title=title, unique_id=f"f{n}")
        head, body = re.match(r"(?s)(<svg[^>]*>)(.*)</svg>", svg).groups()
        # Each is shown from its beginning to that of the next. Without animation, the last one is shown.
        last = n + 1 == len(frames)
        begin, end, after = SECONDS * n / total, 1.0 if last else SECONDS * (n + 1) / total, int(last)
        steps = f"0% {{ opacity: {int(n == 0)} }} {begin:.2%} {{ opacity: 1 }} {end:.2%}, 100% {{ opacity: {after} }}"
        style.append(
            f"@keyframes s{n} {{ {steps} }} .s{n} {{ opacity: {after}; animation: s{n} {total}s step-end infinite }}"
        )
        groups.append(f'<g class="s{n}">{body}</g>')
    return f"{head}<style>{' '.join(style)}</style>{''.join(groups)}</svg>\n"


def pictures(written: list[tuple[float, str]], prompt: str) -> list[list[str]]:
    """Return the terminal at several moments of a recording, and at its end scrolled back by half a page."""
    end = written[-1][0]
    moments = [end * n / FRAMES for n in range(FRAMES + 1)]
    # Each is cut where the last refresh began, because that may be incomplete. The end is complete.
    texts = ["".join(text for at, text in written if at <= moment) for moment in moments]
    texts = [*(text.rpartition("\r\x1b[2K")[0] for text in texts[:-1]), texts[-1]]
    shown = [[prompt, *screen(text)] for text in texts]
    return [*(lines[-ROWS:] for lines in shown), shown[-1][: -ROWS // 2][-ROWS:], shown[-1][-ROWS:]]


def main() -> None:
    """Record the command of the arguments."""
    command = sys.argv[1:]
    # The folder of the recording must not be shown.
    written = [(at, text.replace(str(Path.cwd()), "~")) for at, text in record(command)]
    frames = pictures(written, f"\x1b[1;32m$\x1b[0m {shlex.join(command)}")
    Path(__file__).with_suffix(".svg").write_text(animated(frames, shlex.join(command)), encoding="utf-8")


if __name__ == "__main__":
    main()
