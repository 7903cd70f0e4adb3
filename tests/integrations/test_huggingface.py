"""The Trainer of HuggingFace transformers, whose models compute their losses themselves."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_mixup import ManifoldMixup, Mixup

transformers = pytest.importorskip("transformers", reason="a scheduled job installs it")
pytest.importorskip("accelerate", reason="a scheduled job installs it")
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "huggingface.py"
SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("huggingface_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def step(example, tmp_path):
    """One step of the Trainer: its loss and gradients."""

    def take(mix: Any, model: Any, samples: list[dict[str, Any]]) -> tuple[float, dict[str, torch.Tensor]]:
        found: dict[str, torch.Tensor] = {}

        class Recorder(transformers.TrainerCallback):
            def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:
                found.update({name: p.grad.clone() for name, p in model.named_parameters()})

        arguments = transformers.TrainingArguments(
            tmp_path, max_steps=1, per_device_train_batch_size=len(samples), report_to=[], disable_tqdm=True,
            use_cpu=True, max_grad_norm=0.0, save_strategy="no",
        )  # fmt: skip
        arguments.train_sampling_strategy = "sequential"
        trainer = example.MixTrainer(mix, model=model, args=arguments, train_dataset=samples, callbacks=[Recorder()])
        loss = trainer.train().training_loss
        mix.close()
        return loss, found

    return take


def by_hand(model: Any, lam: float, own: torch.Tensor, other: torch.Tensor, **inputs: Any) -> tuple[float, Any]:
    loss = lam * model(**inputs, labels=own).loss + (1 - lam) * model(**inputs, labels=other).loss
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


def assert_alike(got: Any, want: Any) -> None:
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    assert got[1].keys() == want[1].keys()
    for name, grad in want[1].items():
        torch.testing.assert_close(got[1][name], grad, rtol=1e-4, atol=1e-6)


def test_a_batch_of_images_trains_as_the_formula_says(step):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": 3}
    config = transformers.ViTConfig(**SMALL, **sizes, hidden_dropout_prob=0.0)
    model = transformers.ViTForImageClassification(config)
    x, y = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 2, 1, 0])
    mix = Mixup(2.0, input_key="pixel_values", target_key="labels", pairing="flip", seed=0)
    samples = [{"pixel_values": image, "labels": label} for image, label in zip(x, y, strict=True)]
    twin = transformers.ViTForImageClassification(config)
    twin.load_state_dict(model.state_dict())
    got = step(mix, model, samples)
    lam = mix.last.lam
    want = by_hand(twin, lam, y, y.flip(0), pixel_values=lam * x + (1 - lam) * x.flip(0))
    assert_alike(got, want)


def test_a_batch_of_sentences_is_mixed_at_the_embedding(step):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "vocab_size": 20, "num_labels": 3, "max_position_embeddings": 8}
    config = transformers.BertConfig(**SMALL, **sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = transformers.BertForSequenceClassification(config)
    ids, y = torch.randint(0, 20, (6, 5)), torch.tensor([0, 1, 2, 2, 1, 0])
    keys = {"input_key": None, "target_key": "labels"}
    mix = ManifoldMixup(2.0, layers=["bert.embeddings"], pairing="flip", seed=0, **keys)
    samples = [{"input_ids": row, "labels": label} for row, label in zip(ids, y, strict=True)]
    twin = transformers.BertForSequenceClassification(config)
    twin.load_state_dict(model.state_dict())
    got = step(mix, model, samples)
    lam = mix.last.lam
    twin.bert.embeddings.register_forward_hook(lambda _, __, out: lam * out + (1 - lam) * out.flip(0))
    assert_alike(got, by_hand(twin, lam, y, y.flip(0), input_ids=ids))
