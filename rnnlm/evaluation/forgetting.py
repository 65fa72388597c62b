"""What a source model forgot when it was fine-tuned (French 1999): its own test text, before and after."""

import math

import numpy as np
import pyarrow as pa

from rnnlm.evaluation.enough import counted, few
from rnnlm.evaluation.sampling import of_documents
from rnnlm.evaluation.verdict import Forgetting


def forgetting(before: pa.Table, after: pa.Table) -> Forgetting:
    """Compare what two language models said of the same documents, over the same tokens.

    Args:
        before: Predictions of the source model: id, nll (nats), tokens, n_characters.
        after: Those of the fine-tuned one, of the same documents in the same order.
    """
    characters = before["n_characters"].to_numpy().astype(np.float64)
    nats = before["nll"].to_numpy(), after["nll"].to_numpy()
    bits = [float(n.sum() / math.log(2.0) / characters.sum()) for n in nats]
    lost = of_documents((nats[1] - nats[0]) / math.log(2.0), characters).interval()
    tokens = before["tokens"].to_numpy().sum()
    perplexities = [math.exp(min(float(n.sum() / tokens), 700.0)) for n in nats]
    values = f"{bits[0]:.3f} bits per character before, {bits[1]:.3f} after"
    if few(len(before)):
        sentence = (
            f"Whether the model that is fine-tuned on the target text is worse on the source's own text is not said: "
            f"{values}, on {counted(len(before))} of its test split, which are too few."
        )
    else:
        said = (
            "worse" if lost.low > 0.0 else "better" if lost.high < 0.0 else "neither clearly better nor clearly worse"
        )
        sentence = (
            f"Fine-tuned on the target text, the model is {said} on the source's own text: {values} "
            f"(95 % interval of the change {lost.low:+.3f} to {lost.high:+.3f})."
        )
    return Forgetting(
        before=bits[0],
        after=bits[1],
        lost=lost,
        perplexity_before=perplexities[0],
        perplexity_after=perplexities[1],
        documents=len(before),
        sentence=sentence,
    )
