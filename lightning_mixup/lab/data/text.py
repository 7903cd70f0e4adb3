"""Sentences to be classified, as numbers of words."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lightning_mixup.lab.data.base import Rows
from lightning_mixup.lab.data.hub import HubDataModule, require_column
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.splits import Indices
from lightning_mixup.lab.require import require

PADDING, UNKNOWN = 0, 1
_PRETEND_WORDS = 500


class TextDataModule(HubDataModule):
    """Sentences of the Hugging Face hub by name, or from a folder, as numbers of words.

    Batches are ``[x, y]``: ``x`` int64 of shape ``(B, length)``, 0 where a sentence has ended and 1 for words that are
    not in the vocabulary. Numbers cannot be mixed: mix what an embedding makes of them, as Guo et al. 2019, section 3,
    do (``mix=manifold_mixup`` with the layer of the embedding).

    The five data sets of that paper on the hub, with text column and label column: ``SetFit/TREC-QC`` (``text``,
    ``label_coarse``), ``SetFit/sst2`` and ``SetFit/sst5`` (``text``, ``label``), ``SetFit/subj`` (``text``, ``label``)
    and, for MR, ``cornell-movie-review-data/rotten_tomatoes`` (``text``, ``label``).

    Args:
        name: name on the hub, folder, or format; see ``load_table``.
        num_classes: number of classes, those held out included; ``None`` loads the data to find out.
        text_column: column of the sentences.
        label_column: column of the classes.
        subset: configuration, of data sets that have several.
        data_dir: folder of the files, where ``name`` is a format.
        train_split: split that is trained on; several as ``"train+validation"``.
        test_split: split that is tested on; ``None`` where there is none: ``test_share`` of the train split tests.
        length: words of a sentence, at least 1; longer ones are cut, shorter ones padded.
        max_words: size of the vocabulary, at least 1: the most frequent words of the training part, before
            ``train_size`` and ``imbalance`` take samples away. ``vocab_size`` is announced as two more, whether or not
            there are as many, so that the shape of a network does not depend on the data.
        min_count: how often a word must be there to be in the vocabulary, at least 1.
        cache_dir: where downloads are kept; ``None`` follows ``HF_HOME``.
        fake: put random sentences and labels in place of the data, to try a recipe without a download.
        batch_size: see ``ClassificationDataModule``, as for all that follow.
        num_workers: loader processes.
        train_size: training samples kept.
        label_noise: share of training labels that are replaced.
        noise_kind: ``"symmetric"`` or ``"random"``.
        imbalance: largest over smallest class of the training part.
        held_out_classes: classes that are in no part.
        val_share: share of the train split that validates; 0 trains on all of it and validates on the test split.
        test_share: share of all samples that test, in place of the test split; ``None`` is that split.
        seed: decides all that is drawn.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> data = TextDataModule("SetFit/TREC-QC", num_classes=6, label_column="label_coarse", fake=True)
        >>> data.setup()
        >>> x, y = next(iter(data.train_dataloader()))
        >>> tuple(x.shape), x.dtype, int(x.max()) < data.vocab_size, data.num_classes
        ((50, 40), torch.int64, True, 6)
    """

    def __init__(
        self,
        name: str,
        num_classes: int | None = None,
        text_column: str = "text",
        label_column: str = "label",
        subset: str | None = None,
        data_dir: str | None = None,
        train_split: str = "train",
        test_split: str | None = "test",
        length: int = 40,
        max_words: int = 20_000,
        min_count: int = 1,
        cache_dir: str | None = None,
        fake: bool = False,
        batch_size: int = 50,
        num_workers: int = 0,
        train_size: int | float | None = None,
        label_noise: float = 0.0,
        noise_kind: NoiseKind = "symmetric",
        imbalance: float = 1.0,
        held_out_classes: Sequence[int] | None = None,
        val_share: float = 0.1,
        test_share: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            name=name,
            label_column=label_column,
            subset=subset,
            data_dir=data_dir,
            train_split=train_split,
            test_split=test_split,
            num_classes=num_classes,
            cache_dir=cache_dir,
            fake=fake,
            batch_size=batch_size,
            num_workers=num_workers,
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            held_out_classes=held_out_classes,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
        require(length >= 1, "length", length, "at least 1")
        require(max_words >= 1, "max_words", max_words, "at least 1")
        require(min_count >= 1, "min_count", min_count, "at least 1")
        self.text_column = text_column
        self.length = length
        self.max_words = max_words
        self.min_count = min_count
        self.input_shape = (length,)
        self.vocab_size = max_words + 2
        self.vocabulary: dict[str, int] = {}
        self._numbers: torch.Tensor | None = None

    def setup(self, stage: str | None = None) -> None:
        """Load and split, number the words, once."""
        super().setup(stage)
        if self._numbers is not None:
            return
        if not self.fake:
            require_column(self.table.rows, "text_column", self.text_column)
        sentences = [split_words(str(row[self.text_column])) for row in self.table.rows]
        known = (sentences[index] for index in self.arranged.pool)
        self.vocabulary = build_vocabulary(known, self.max_words, self.min_count)
        self._numbers = torch.stack([number_words(words, self.vocabulary, self.length) for words in sentences])

    def samples(self, indices: Indices, *labels: torch.Tensor, training: bool = False) -> Rows:
        """Some samples with their labels."""
        assert self._numbers is not None
        return Rows(self._numbers, torch.from_numpy(indices), *labels)

    def pretend_row(self, rng: np.random.Generator) -> dict[str, Any]:
        """Make a random sentence."""
        words = rng.integers(0, _PRETEND_WORDS, size=rng.integers(3, 20))
        return {self.text_column: " ".join(f"word{word}" for word in words)}


def split_words(sentence: str) -> list[str]:
    """Cut a sentence into words and marks, in small letters.

    Examples:
        >>> split_words("Who wasn't there?")
        ['who', "wasn't", 'there', '?']
    """
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", sentence.lower())


def build_vocabulary(sentences: Iterable[Sequence[str]], max_words: int, min_count: int = 1) -> dict[str, int]:
    """Number the most frequent words from 2; words as frequent as each other come in alphabetical order.

    Args:
        sentences: words of each.
        max_words: how many words to number at most.
        min_count: how often a word must be there.

    Examples:
        >>> build_vocabulary([["to", "be"], ["not", "to", "be"]], max_words=2)
        {'be': 2, 'to': 3}
    """
    counts = Counter(word for words in sentences for word in words)
    ranked = sorted((-count, word) for word, count in counts.items() if count >= min_count)
    return {word: number for number, (_, word) in enumerate(ranked[:max_words], start=2)}


def number_words(words: Sequence[str], vocabulary: Mapping[str, int], length: int) -> torch.Tensor:
    """Look words up: 1 for those unknown, 0 after the last.

    Args:
        words: of one sentence.
        vocabulary: word to number.
        length: of the result; what is longer is cut.

    Returns:
        int64, ``(length,)``.

    Examples:
        >>> number_words(["to", "err"], {"be": 2, "to": 3}, length=4)
        tensor([3, 1, 0, 0])
    """
    numbers = torch.full((length,), PADDING)
    known = [vocabulary.get(word, UNKNOWN) for word in words[:length]]
    numbers[: len(known)] = torch.tensor(known, dtype=torch.int64)
    return numbers
