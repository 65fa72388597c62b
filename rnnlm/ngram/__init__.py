"""N-gram language models, which a recurrent one has to beat: counts, Kneser-Ney, Katz, ARPA files."""

from rnnlm.ngram.arpa import write_arpa
from rnnlm.ngram.counts import Counts, count
from rnnlm.ngram.katz import katz
from rnnlm.ngram.kneser_ney import kneser_ney
from rnnlm.ngram.model import NgramModel

__all__ = ["Counts", "NgramModel", "count", "katz", "kneser_ney", "write_arpa"]
