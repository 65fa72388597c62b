"""The settings that an experiment is made of, each part by itself."""

from rnnlm.settings.base import Settings, field, flat
from rnnlm.settings.corpus import Corpus, Replacement
from rnnlm.settings.model import Dropout, Model
from rnnlm.settings.tokenizer import MIN_SUBWORDS, Tokenizer
from rnnlm.settings.training import (
    AUTO,
    Adaptation,
    ClassifierTraining,
    ClassWeights,
    FineTuning,
    LanguageModelTraining,
    Maps,
    RegressorTraining,
    TaggerTraining,
    TargetTraining,
    Trainable,
    WordMap,
    trains_all,
)

__all__ = [
    "AUTO",
    "MIN_SUBWORDS",
    "Adaptation",
    "ClassWeights",
    "ClassifierTraining",
    "Corpus",
    "Dropout",
    "FineTuning",
    "LanguageModelTraining",
    "Maps",
    "Model",
    "RegressorTraining",
    "Replacement",
    "Settings",
    "TaggerTraining",
    "TargetTraining",
    "Tokenizer",
    "Trainable",
    "WordMap",
    "field",
    "flat",
    "trains_all",
]
