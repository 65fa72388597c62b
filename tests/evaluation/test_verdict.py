"""What `verdict.json` holds, for programs that read it."""

import json
import os
from pathlib import Path

from rnnlm.evaluation.verdict import SCHEMA_VERSION, Gain, Interval, Verdict

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "verdict.schema.json"


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    """A change that a reader has to know of raises SCHEMA_VERSION. RNNLM_WRITE_GOLDEN=1 writes the schema again."""
    if os.environ.get("RNNLM_WRITE_GOLDEN"):
        SCHEMA.write_text(json.dumps(Verdict.model_json_schema(), indent=1) + "\n", encoding="utf-8")
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Verdict.model_json_schema()
    assert SCHEMA_VERSION == 3


def test_a_verdict_of_an_earlier_version_is_read() -> None:
    gain = Gain(
        task="classifier", metric="accuracy", arm="parameter", labels=100, gain=Interval(value=0.0, low=-0.1, high=0.1),
        spread=None, seeds=1, p_value=0.9, outcome="open", sentence="",
    )  # fmt: skip
    earlier = gain.model_dump(exclude={"about", "spread_from", "margin", "seeds_to_decide", "differing"})
    assert Gain.model_validate(earlier | {"outcome": "none found"}) == gain
    assert gain.about == "models"
    assert Gain.model_validate(earlier | {"seeds": 3}).about == "training"
