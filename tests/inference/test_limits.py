import threading

import pytest

from rnnlm.errors import ConfigError
from rnnlm.inference.limits import BusyError, Gate, Limits, TooLargeError
from rnnlm.inference.settings import Completing, Correcting, Nothing


@pytest.mark.parametrize(
    ("limits", "texts", "how", "asked"),
    [
        (Limits(texts=2), ["a", "b", "c"], Nothing(), "3 texts, and this server allows 2.*RNNLM_SERVE_TEXTS"),
        (Limits(characters=4), ["ab", "cde"], Nothing(), "5 characters, and this server allows 4"),
        (Limits(characters=4), ["ab"], Correcting(words=["cde"]), "5 characters"),
        (Limits(words=3), ["one two", "three four"], Correcting(), "4 words, and this server allows 3"),
        (Limits(tokens=99), ["a"], Completing(max_tokens=25, beams=4), "100 tokens.*RNNLM_SERVE_TOKENS"),
        (Limits(tokens=99), ["a", "b"], Completing(max_tokens=10, n=5, temperature=1.0), "100 tokens"),
    ],
)
def test_a_request_that_is_too_large_is_refused(limits: Limits, texts: list[str], how: Nothing, asked: str) -> None:
    with pytest.raises(TooLargeError, match=asked):
        limits.check(texts, how)


def test_a_request_within_the_limits_is_not() -> None:
    Limits(texts=2, characters=5).check(["ab", "cde"], Nothing())
    Limits(tokens=100).check(["a"], Completing(max_tokens=25, beams=4))
    Limits(tokens=100).check(["a"], Completing(max_tokens=100, beams=4, temperature=1.0))


def test_the_environment_has_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.from_environment() == Limits()
    monkeypatch.setenv("RNNLM_SERVE_TEXTS", "7")
    monkeypatch.setenv("RNNLM_SERVE_WAIT", "0.5")
    monkeypatch.setenv("RNNLM_SERVE_CHARACTERS", "")
    assert Limits.from_environment() == Limits(texts=7, wait=0.5)
    monkeypatch.setenv("RNNLM_SERVE_TEXTS", "many")
    with pytest.raises(ConfigError, match="RNNLM_SERVE_TEXTS: is 'many'"):
        Limits.from_environment()


def test_who_waits_too_long_is_sent_away() -> None:
    gate, inside, leave = Gate(Limits(at_once=1, wait=0.05)), threading.Event(), threading.Event()

    def first() -> None:
        with gate.place():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(BusyError, match=r"1 other requests have kept the server busy for 0\.05 seconds"), gate.place():
        pass
    leave.set()
    thread.join()
    with gate.place():
        pass
