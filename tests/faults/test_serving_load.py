"""A served model under load: no answer is lost or wrong, and the memory stays flat.

`make test-faults` sends 5,000 requests, 200 at the same time; some of them are part of `make test`.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

REQUESTS = 5_000 if "RNNLM_FAULTS" in os.environ else 300
AT_ONCE = 200
GROWTH = 100_000_000  # bytes that the server's memory may grow by after the first fifth of the requests
WORDS = ["the", "film", "was", "great", "dull", "long", "and", "a", "joy", "to", "see"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def memory(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def body(number: int) -> dict[str, Any]:
    """Return a request; those of a number are always the same."""
    text = " ".join(WORDS[(number * 7 + k * k) % len(WORDS)] for k in range(1 + number % 40))
    if number % 3 == 0:
        return {"inputs": [text], "params": {"task": "complete", "max_tokens": 3}}
    return {"inputs": [text, text[::-1]]}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_answer_is_lost_or_wrong(registered_model: str, tmp_path: Path) -> None:
    folder = mlflow.artifacts.download_artifacts(registered_model, dst_path=str(tmp_path / "served"))
    model, port = mlflow.pyfunc.load_model(folder), free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "mlflow.pyfunc.scoring_server.app:app"]
    environment = os.environ | {
        "__pyfunc_model_path__": folder,
        "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "600",
        "RNNLM_SERVE_WAIT": "600",
    }
    log = (tmp_path / "server.log").open("wb")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server:
        try:
            end = time.monotonic() + 120
            while time.monotonic() < end and server.poll() is None:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/ping").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.2)
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-3_000:]
            begun = asyncio.run(answers(port, range(REQUESTS // 5)))
            before = memory(server.pid)
            rest = asyncio.run(answers(port, range(REQUESTS // 5, REQUESTS)))
            after = memory(server.pid)
        finally:
            server.terminate()
    expected = [model.predict(body(n)["inputs"], params=body(n).get("params")) for n in range(120)]
    for number, answer in enumerate([*begun, *rest]):
        assert answer.status_code == 200, answer.text
        assert close(answer.json()["predictions"], expected[number % 120]), number
    assert after - before < GROWTH


async def answers(port: int, numbers: range) -> list[httpx.Response]:
    """Send requests, many at the same time; return the answers in their order."""
    places = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600, limits=limits) as client:

        async def one(number: int) -> httpx.Response:
            async with places:
                return await client.post("/invocations", json=body(number % 120))

        return await asyncio.gather(*map(one, numbers))


def close(found: Any, expected: Any) -> bool:
    """Return whether two answers are the same, but for the last digits of numbers."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    return bool(found == (pytest.approx(expected, rel=1e-5) if isinstance(expected, float) else expected))
