"""What a source model that is trained already says about the target, before anything is trained on the target."""

from pathlib import Path

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

from rnnlm.evaluation.language_model import score_documents
from rnnlm.evaluation.outlook import Frozen, SourceModel
from rnnlm.evaluation.transferability import h_score, logme, standardised
from rnnlm.model.checkpoint import Description, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import TokensRef
from rnnlm.seeds import stream
from rnnlm.settings import Model, TargetTraining, WordMap
from rnnlm.tokens import Text
from rnnlm.training.target_model import pooled_features
from rnnlm.transfer.cell import read_documents
from rnnlm.transfer.start import encoder_weights, start_weights
from rnnlm.transfer.subsets import label_subset
from rnnlm.transfer.vocabulary import BY_GROUP

MOST_DOCUMENTS = 2_000


def ask_source_model(
    folder: Path, settings: Model, training: TargetTraining, target: TokensRef, word_map: WordMap, seed: int
) -> SourceModel:
    """Score a source model on the target's validation text, and its frozen features on labelled training documents.

    The features are compared with those of an encoder of the same shape with random weights: the difference is what the
    pretraining gave them. The test split is not touched.

    Args:
        folder: The source model's checkpoint.
        settings: Widths, layers, dropout.
        training: Pooling and limits of models of the target task.
        target: The target's tokens.
        word_map: How the words that the source lacks come to their rows.
        seed: Seed of the subset of documents and of the random encoder.
    """
    weights, _ = start_weights(folder, target, word_map)
    found = SourceModel()
    if Description.load(folder).kind == "language_model":
        model = LanguageModel(settings, target.vocabulary_size)
        set_weights(model, {n: w for n, w in get_weights(model).items() if n in BY_GROUP} | weights)
        scores = score_documents(model, read_documents(target, "valid")).metrics
        update = {"perplexity": scores["perplexity"], "bits": scores["bits_per_character"]}
        found = found.model_copy(update=update)
    # Scores of features are for classes of documents.
    if training.model == "classifier" and len(target.labels) > 1:
        train = read_documents(target, "train", labelled=True)
        train = train.take(label_subset(train.labels, min(MOST_DOCUMENTS, len(train)), seed))
        model_of_target = TargetModel(settings, training, target.vocabulary_size, len(target.labels), seed)
        random = _frozen(_features(model_of_target, train), train.labels)
        set_weights(model_of_target, get_weights(model_of_target) | encoder_weights(weights, settings))
        features = _features(model_of_target, train)
        found = found.model_copy(
            update={
                "documents": len(train),
                "pretrained": _frozen(features, train.labels),
                "random": random,
                "shuffled": _frozen(features, stream(seed, "shuffled labels").permutation(train.labels)),
            }
        )
    return found


def _features(model: TargetModel, documents: Text) -> np.ndarray:
    # As the head of a target model sees them: its normalisation gives all features one scale.
    return standardised(pooled_features(model, documents))


def _frozen(features: np.ndarray, labels: np.ndarray) -> Frozen:
    shrinkage = float(ledoit_wolf_shrinkage(features))
    return Frozen(logme=logme(features, labels), h_score=h_score(features, labels, shrinkage))
