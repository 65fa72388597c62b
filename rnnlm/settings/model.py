"""The shape of a model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rnnlm.settings.base import Settings, field

Rate = Annotated[float, Field(ge=0.0, le=0.9)]


class Dropout(Settings):
    """Shares of what is dropped in training, with one mask for a whole window (the recipe of the AWD-LSTM)."""

    input: Rate = field("Units of the embedded tokens.", default=0.1)
    hidden: Rate = field("Units between LSTM layers.", default=0.1)
    output: Rate = field("Units before the softmax.", default=0.1)
    embedding: Rate = field("Word types: a type is dropped wherever it is in the window.", default=0.0)
    weight: Rate = field("Recurrent weights (DropConnect); with the cell qrnn, all weights of a layer.", default=0.0)
    zoneout: Rate = field("Units that keep their cell at a step; for the cell qrnn alone.", default=0.0)


class Model(Settings):
    """The recurrent language model: embedding, stacked recurrent layers, softmax tied to the embedding."""

    embedding: int = field("Width of the embedding and of the last layer (they are tied).", default=128, ge=4, le=8_192)
    hidden: int = field("Width of the layers before the last.", default=192, ge=4, le=4_096)
    layers: int = field("Number of recurrent layers.", default=2, ge=1, le=8)
    cell: Literal["lstm", "gru", "qrnn"] = field(
        "The recurrent cell. qrnn needs no matrix product at a time step: it is faster, and usually a little worse.",
        default="lstm",
    )
    softmax: Literal["exact", "adaptive"] = field(
        "exact: over the whole vocabulary at each step. adaptive: frequent tokens and groups of rarer ones, faster for "
        "large vocabularies. Evaluation gives the exact probability with both.",
        default="exact",
    )
    dropout: Dropout = field("What is dropped in training.", default=Dropout())

    @model_validator(mode="after")
    def _zoneout_is_for_the_qrnn(self) -> "Model":
        if self.dropout.zoneout and self.cell != "qrnn":
            raise ValueError(f"dropout.zoneout: the cell {self.cell} has none; leave it at 0, or take `cell: qrnn`")
        return self
