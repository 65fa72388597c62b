"""What is measured: the sizes, the engines for each, and the goals."""

import itertools
from dataclasses import dataclass, replace
from typing import Literal

OURS, QRNN, ADAPTIVE, FASTAI, TORCH, KERAS, PRODUCT = (
    "rnnlm",
    "rnnlm QRNN",
    "rnnlm adaptive softmax",
    "fastai AWD_LSTM",
    "PyTorch nn.LSTM",
    "keras.layers.LSTM",
    "one product",
)

Unit = Literal["tokens_per_second", "documents_per_second", "gflop_per_second"]


@dataclass(frozen=True)
class Configuration:
    """Sizes, and how long they are measured.

    Attributes:
        name: Its name in the results.
        unit: The unit that a rate counts.
        vocabulary: Number of tokens.
        embedding: Width of the embedding and of the last LSTM layer.
        hidden: Width of the LSTM layers before the last.
        layers: Number of LSTM layers.
        batch: Rows of a window, or documents of a batch.
        window: Time steps of a window, or the most tokens of a document.
        warmup: Steps before the clock starts, in each process.
        rounds: How many rounds each process measures.
        steps: Steps (or passes over the documents) of a round: a few seconds.
        documents: Documents of a pass; 0 for running text.
        part: training or evaluation.
    """

    name: str
    unit: Unit
    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    batch: int
    window: int
    warmup: int
    rounds: int
    steps: int
    documents: int = 0
    part: Literal["training", "evaluation"] = "training"

    def title(self) -> str:
        """Return a description for the table."""
        if self.unit == "gflop_per_second":
            return "ceiling: one product of two 2,048 x 2,048 matrices"
        shape = f"vocabulary {self.vocabulary:,}, embedding {self.embedding}, hidden {self.hidden:,}, "
        shape += f"{self.layers} layer{'s' if self.layers > 1 else ''}, batch {self.batch}"
        if self.documents:
            return f"classifier {self.part}: {shape}, documents of at most {self.window} tokens"
        return f"{self.name}: {shape}, {self.window} steps"

    def flop_per_token(self) -> int:
        """Return the floating-point operations per token of the products of a training step.

        Two for each weight in the forward pass, and twice as many in the backward pass.
        """
        widths = [self.embedding] + [self.hidden] * (self.layers - 1) + [self.embedding]
        lstm = sum((before + units) * 4 * units for before, units in itertools.pairwise(widths))
        return 6 * (self.vocabulary * self.embedding + lstm)

    def shortened(self) -> "Configuration":
        """Return the same for a trial: one short round."""
        return replace(self, warmup=1, rounds=1, steps=1, documents=min(self.documents, 4 * self.batch))


@dataclass(frozen=True)
class Engine:
    """A program that is measured.

    Attributes:
        name: The engine's name in the results.
        module: The program.
        precision: float32 or bfloat16.
        variant: One of several ways in which the engine does the same. The fastest one counts.
        peer: Whether it runs in the peers' environment, not in the project's.
        memory: default, or kept: freed memory stays with the process (see `KEPT_MEMORY`).
    """

    name: str
    module: str
    precision: Literal["float32", "bfloat16"]
    variant: str = ""
    peer: bool = False
    memory: Literal["default", "kept"] = "default"


# Settings of glibc's allocator. By default it returns every large array to the system as soon as it is freed, and the
# next one has to be fetched and cleared page by page. This takes half of the step of some engines. Users do not set
# this, so each engine is measured without and with it. The allocators of other systems do not have these settings.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def _all(name: str, module: str, *variants: str, peer: bool = False) -> list[Engine]:
    """Return the engine in both precisions, with both settings of memory and in all variants."""
    precisions: list[Literal["float32", "bfloat16"]] = ["float32", "bfloat16"]
    memories: list[Literal["default", "kept"]] = ["default", "kept"]
    return [
        Engine(name, module, precision, variant, peer, memory)
        for precision in precisions
        for memory in memories
        for variant in variants or ("",)
    ]


_OURS = _all(OURS, "benchmarks.ours")
# Other models than the peers', and faster. They have a goal of their own.
_QRNN = _all(QRNN, "benchmarks.ours", "qrnn")
_ADAPTIVE = _all(ADAPTIVE, "benchmarks.ours", "adaptive")
_FASTAI = _all(FASTAI, "benchmarks.peers.fastai_awd_lstm", peer=True)
_TORCH = _all(TORCH, "benchmarks.peers.torch_lstm", "batch first", "time first", peer=True)
_KERAS = _all(KERAS, "benchmarks.peers.keras_lstm", "graph", "jit")
_PRODUCT = _all(PRODUCT, "benchmarks.ceiling")
_CLASSIFIER_TRAINING = [
    *_all(OURS, "benchmarks.classifier"),
    *_all(FASTAI, "benchmarks.peers.fastai_classifier", peer=True),
]
# rnnlm always evaluates in float32, and chooses its own batches.
_CLASSIFIER_EVALUATION = [
    *(engine for engine in _all(OURS, "benchmarks.classifier") if engine.precision == "float32"),
    *_all(FASTAI, "benchmarks.peers.fastai_classifier", "64 documents", "256 documents", peer=True),
]

_SMALL = Configuration("small", "tokens_per_second", 10_000, 128, 128, 1, 32, 64, warmup=3, rounds=3, steps=12)
_MEDIUM = Configuration("medium", "tokens_per_second", 10_000, 256, 512, 2, 64, 70, warmup=2, rounds=3, steps=4)
_LARGE = Configuration("large", "tokens_per_second", 33_278, 400, 1_152, 3, 64, 70, warmup=1, rounds=3, steps=1)
# The model and the batches of `make demo`.
_DEMO = Configuration("demo", "tokens_per_second", 5_000, 128, 192, 2, 32, 64, warmup=3, rounds=3, steps=12)
_CEILING = Configuration("ceiling", "gflop_per_second", 0, 0, 0, 0, 0, 0, warmup=3, rounds=3, steps=20)
# 1,600 documents: 50 batches, which fastai sorts by length together.
_TRAINING = Configuration(
    "classifier-training",
    "documents_per_second",
    10_000,
    128,
    192,
    2,
    32,
    256,
    warmup=5,
    rounds=2,
    steps=1,
    documents=1_600,
)
_EVALUATION = replace(_TRAINING, name="classifier-evaluation", part="evaluation", steps=2)

# The ceiling is next to the configuration that is compared with it. Keras' jit is measured only where a goal names
# Keras: with the wider model it was slower than the graph.
PLAN: list[tuple[Configuration, list[Engine]]] = [
    (_CEILING, _PRODUCT),
    (_MEDIUM, [*_OURS, *_QRNN, *_ADAPTIVE, *_TORCH, *_FASTAI, *_all(KERAS, "benchmarks.peers.keras_lstm", "graph")]),
    (_SMALL, [*_OURS, *_TORCH, *_KERAS]),
    (_DEMO, [*_OURS, *_QRNN, *_FASTAI]),
    (_LARGE, [*_OURS, *_FASTAI]),
    (_TRAINING, _CLASSIFIER_TRAINING),
    (_EVALUATION, _CLASSIFIER_EVALUATION),
]
