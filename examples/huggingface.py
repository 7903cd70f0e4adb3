"""Mixing in the Trainer of HuggingFace transformers: a subclass of five lines.

python examples/huggingface.py
"""

import tempfile
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from lightning_mixup import CutMix, MixCallback


class MixTrainer(Trainer):
    """A Trainer that mixes every batch it trains on.

    Args:
        mix: Any callback of this library.
        **kwargs: What ``Trainer`` takes.
    """

    def __init__(self, mix: MixCallback, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.mix, self.taken = mix, 0

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any) -> Tensor:  # noqa: ANN401
        """Train on the mixed batch."""
        rank = self.args.process_index
        with self.mix.step(inputs, step=self.taken, module=model, rank=rank) as mixed:
            self.taken += 1
            return super().training_step(model, mixed, *args)


def main() -> None:
    """Train a small vision transformer on digits, and say how it went."""
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(digits.target)
    samples = [{"pixel_values": image, "labels": label} for image, label in zip(x, y, strict=True)]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = ViTConfig(image_size=8, patch_size=2, num_channels=1, num_labels=10, **sizes)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=8,
            per_device_train_batch_size=32,
            learning_rate=2e-3,
            seed=0,
            report_to=[],
            disable_tqdm=True,
        )
        torch.manual_seed(0)
        trainer = MixTrainer(
            CutMix(prob=0.5, input_key="pixel_values", target_key="labels", seed=0),
            model=ViTForImageClassification(config),
            args=arguments,
            train_dataset=samples[:1500],
            eval_dataset=samples[1500:],
            compute_metrics=lambda found: {"accuracy": (found.predictions.argmax(1) == found.label_ids).mean()},
        )
        trainer.train()
        print(f"accuracy {trainer.evaluate()['eval_accuracy']:.1%} after {trainer.taken} mixed steps")
    trainer.mix.close()


if __name__ == "__main__":
    main()
