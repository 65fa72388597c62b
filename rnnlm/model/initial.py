"""Initial weights that the recurrent layers share."""

from collections.abc import Callable
from typing import Any

import keras

from rnnlm.seeds import derived


def orthogonal_gates(gates: int, seed: int) -> Callable[..., Any]:
    """Return an initializer of a recurrent kernel (units, gates x units): one orthogonal block a gate.

    A single orthogonal matrix of that shape would make the gates' norms uneven.

    Args:
        gates: Number of gates.
        seed: Seed of the layer; each gate has a stream of its own.
    """
    return lambda shape, dtype: keras.ops.concatenate(
        [
            keras.initializers.Orthogonal(seed=derived(seed, "recurrent kernel", gate))((shape[0], shape[0]), dtype)
            for gate in range(gates)
        ],
        axis=1,
    )
