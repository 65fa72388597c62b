"""Documents of one corpus that stand in another."""

from collections.abc import Callable

from rnnlm.corpus import leak_sentence, read_before
from rnnlm.refs import DocumentsRef


def test_only_what_the_source_reads_of_the_test_split_counts(of_lines: Callable[..., DocumentsRef]) -> None:
    source = of_lines("source", train=["a", "b ", "c", ""], valid=["d"], test=["e"])
    target = of_lines("target", train=["c", "f"], valid=["g"], test=["b", "d", "e", ""])
    assert read_before(source, target) == 2
    assert read_before(target, source) == 0
    assert "2 of the target's 4 test documents" in leak_sentence(2, 4)
