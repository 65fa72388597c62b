"""Before the hours are spent: is a source text likely to help a language model of the target?

N-gram models answer in seconds what recurrent ones answer in hours. One is counted on each text, over the target's
vocabulary, and the two are interpolated. What the mixture saves on held-out target text over the target's own model is
what the source knows of the target that the target's own text does not tell.
"""

import numpy as np

from rnnlm.errors import DataError
from rnnlm.evaluation.enough import LEAST_DOCUMENTS, few
from rnnlm.evaluation.language_model import by_document
from rnnlm.evaluation.mixture import mixed, mixture_weight
from rnnlm.evaluation.outlook import Estimate
from rnnlm.evaluation.sampling import of_documents
from rnnlm.evaluation.source_ranking import Estimation
from rnnlm.ngram import count, kneser_ney
from rnnlm.refs import TokensRef
from rnnlm.transfer.cell import read_documents

# A saving below a hundredth of the target's own bits is real, perhaps, but not worth the hours.
MARGIN = 0.01


def estimate(source: TokensRef, target: TokensRef, order: int) -> Estimation:
    """Estimate whether a source text helps a language model of the target.

    The weights of the mixture are chosen on one half of the validation documents and used on the other, in turn, so
    that a source that tells nothing saves nothing. The test split is not touched.

    Args:
        source: The source text, over the target's vocabulary.
        target: The target text.
        order: Tokens of the longest n-grams.

    Raises:
        DataError: If the validation split has too few documents for an interval that holds.
    """
    valid = read_documents(target, "valid")
    if few(len(valid)):
        raise DataError(
            f"the validation split has {len(valid)} documents; an estimate needs {LEAST_DOCUMENTS}",
            where=str(target.file),
            remedy="Give target.corpus a larger valid_share, or smaller documents (document: paragraph or line).",
        )
    train = [read_documents(tokens, "train", mapped=True) for tokens in (target, source)]
    losses, seen = [], []
    for text in train:
        counts = count(text, order)
        seen.append(counts.counts[0] > 0)
        losses.append(kneser_ney(counts).score_tokens(valid))
    own, other = losses
    predicted = valid.predicted
    half = np.repeat(np.arange(len(valid)) % 2 == 0, valid.lengths)
    together, shares = own.copy(), []
    for fitted in (half, ~half):
        share = mixture_weight(other[fitted & predicted], own[fitted & predicted])
        together[~fitted] = mixed(other[~fitted], own[~fitted], share)
        shares.append(share)
    by_itself, mixture, cross = (by_document(one, valid) for one in (own, together, other))
    difference = (by_itself.nll - mixture.nll) / np.log(2.0)
    saved = of_documents(difference, by_itself.n_characters.astype(np.float64)).interval()
    bits = by_itself.metrics["bits_per_character"]
    found = Estimate(
        known_types=float((seen[0] & seen[1]).sum() / seen[0].sum()),
        known_tokens=float(seen[1][valid.read()[predicted]].mean()),
        own_perplexity=by_itself.metrics["perplexity"],
        source_perplexity=cross.metrics["perplexity"],
        mixed_perplexity=mixture.metrics["perplexity"],
        source_share=float(np.mean(shares)),
        own_bits=bits,
        saved=saved,
        outlook="likely" if saved.low > MARGIN * bits else "unlikely" if saved.high < MARGIN * bits else "open",
        order=order,
    )
    return Estimation(found, valid.document_ids, mixture.nll / np.log(2.0), by_itself.n_characters)
