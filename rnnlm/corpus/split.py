"""The split of a document. It depends on this document alone, not on other documents or their order."""

from hashlib import blake2b

from rnnlm.refs import Split


def split_of(digest: bytes, group: str | None, *, valid_share: float, test_share: float) -> Split:
    """Return the split of a document.

    Args:
        digest: Digest of the document's cleaned text.
        group: Its group. All documents of a group are in the same split.
        valid_share: Share of the documents (or groups) in the validation split.
        test_share: Share in the test split. It is cut first, so that another `valid_share` does not change test.
    """
    key = b"document " + digest if group is None else b"group " + group.encode()
    position = int.from_bytes(blake2b(key, digest_size=8, person=b"rnnlm.split").digest()) / 2**64
    if position < test_share:
        return "test"
    return "valid" if position < test_share + valid_share else "train"
