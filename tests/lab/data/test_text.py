import datasets
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import Spy

from lightning_mixup import ManifoldMixup
from lightning_mixup.lab.data import TextDataModule
from lightning_mixup.lab.data.text import build_vocabulary, number_words, split_words
from lightning_mixup.lab.models import SentenceCNN

SENTENCES = ["Who wrote Hamlet ?", "Where is Rome ?", "How far is the moon ?", "What is a quark , exactly ?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The form of TREC on the hub: lines of JSON, numbers as labels, several columns of them."""
    path = tmp_path_factory.mktemp("trec")
    datasets.disable_progress_bars()
    for split, count in {"train": 80, "test": 20}.items():
        rows = {
            "text": [f"{SENTENCES[i % 4]} {split}{i}" for i in range(count)],
            "label": list(range(count)),
            "label_coarse": [i % 4 for i in range(count)],
        }
        datasets.Dataset.from_dict(rows).to_json(path / f"{split}.jsonl")
    yield path
    datasets.enable_progress_bars()


@pytest.fixture
def trec(folder, tmp_path):
    def build(**changes):
        arguments = {"label_column": "label_coarse", "length": 10, "max_words": 100, "cache_dir": str(tmp_path)}
        return TextDataModule(str(folder), **{**arguments, **changes})

    return build


def ready(data):
    data.setup()
    return data


def content(loader):
    return [torch.cat(column) for column in zip(*loader, strict=True)]


def test_sentences_become_numbers_of_known_words(trec):
    data = ready(trec())
    assert (data.num_classes, data.class_names, data.input_shape, data.vocab_size) == (4, tuple("0123"), (10,), 102)
    x, y = content(data.test_dataloader())
    assert (x.dtype, tuple(x.shape), y.dtype) == (torch.int64, (20, 10), torch.int64)
    words = {number: word for word, number in data.vocabulary.items()}
    # The last word of a test sentence is in no training sentence.
    assert [words.get(number, number) for number in x[0].tolist()] == ["who", "wrote", "hamlet", "?", 1, 0, 0, 0, 0, 0]
    assert y.tolist() == [index % 4 for index in range(20)]


def test_the_vocabulary_is_of_the_training_part_alone(trec):
    data = ready(trec(seed=3))
    for part, known in {"train": True, "val": False}.items():
        for index in getattr(data.arranged.split, part):
            assert (f"train{index}" in data.vocabulary) == known
    assert ready(trec(seed=3, train_size=8)).vocabulary == data.vocabulary


def test_the_shape_of_the_network_does_not_depend_on_the_data(trec):
    data = ready(trec(max_words=3, length=4))
    x, _ = content(data.train_dataloader())
    assert len(data.vocabulary) == 3
    assert x.max() < data.vocab_size == 5
    assert x.shape[1:] == (4,)


def test_noise_and_imbalance_are_those_of_all_data(trec):
    data = ready(trec(label_noise=0.5, imbalance=4))
    x, given, true = content(data.memory_dataloader())
    assert torch.bincount(true).tolist() == [18, 11, 7, 4]
    assert (given != true).sum() == 20
    assert len(x) == 40


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_a_vocabulary_is_the_most_frequent_words(sentences, max_words, min_count):
    vocabulary = build_vocabulary(sentences, max_words, min_count)
    counts = {word: sum(words.count(word) for words in sentences) for word in "abcdef"}
    frequent = [word for word in counts if counts[word] >= min_count]
    assert sorted(vocabulary.values()) == list(range(2, 2 + min(max_words, len(frequent))))
    least = min((counts[word] for word in vocabulary), default=0)
    assert all(counts[word] <= least for word in frequent if word not in vocabulary)


@given(st.lists(st.sampled_from(["to", "be", "err"]), max_size=12), st.integers(1, 8))
def test_numbers_are_cut_or_padded(words, length):
    vocabulary = {"be": 2, "to": 3}
    numbers = number_words(words, vocabulary, length).tolist()
    shown = words[:length]
    assert numbers == [vocabulary.get(word, 1) for word in shown] + [0] * (length - len(shown))


def test_marks_are_words():
    assert split_words("It's  5%, or NOT!") == ["it's", "5", "%", ",", "or", "not", "!"]
    assert split_words("  ") == []


def test_embeddings_can_be_mixed(trec, trainer):
    data = trec()

    class Sentences(Spy):
        def __init__(self):
            super().__init__(4)
            self.net = SentenceCNN(4, data.vocab_size, width=8, filters=4)

    module, mix = Sentences(), ManifoldMixup(alpha=1.0, layers=["net.embedding"], seed=0)
    trainer(mix).fit(module, datamodule=data)
    assert mix.last.layer == "net.embedding"
    assert all(torch.isfinite(loss) for loss in module.seen["loss"])
    assert not module.seen["train"][0][0].is_floating_point()


def test_fake_sentences_have_the_form_of_the_real_ones():
    data = TextDataModule("no/such-set", fake=True, length=12, max_words=50)
    data.prepare_data()
    data.setup("fit")
    x, _ = content(data.train_dataloader())
    assert data.num_classes == 10
    assert x.shape[1:] == data.input_shape == (12,)
    assert (x == 1).any()  # words beyond the vocabulary
    assert x.max() == data.vocab_size - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 0}, "length must be at least 1"),
        ({"max_words": 0}, "max_words must be at least 1"),
        ({"min_count": 0}, "min_count must be at least 1"),
        ({"text_column": "sentence"}, r"text_column must be a column of the data set \(text, .*\); got 'sentence'"),
        ({"num_classes": 6}, "num_classes must be 4, as many as label_column='label_coarse'"),
    ],
)
def test_impossible_arguments_are_named(trec, changes, message):
    with pytest.raises(ValueError, match=message):
        ready(trec(**changes))
