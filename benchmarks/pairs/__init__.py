"""Whether `rnnlm estimate` is right: its answers for pairs of source and target, against what came of them."""
