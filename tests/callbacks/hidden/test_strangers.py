"""Networks as other people write them, in real steps: losses and states computed again by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup
from lightning_mixup.functional import mixup

B = 6


class Stranger(LightningModule):
    """Notes the loss of its only step, and stands still, so that a test can compute it again."""

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        """The loss, where ``mix`` takes the place of what the callback does to a hidden state."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.loss = self.loss_of(*batch, lambda h: h)
        return self.loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class LastState(Stranger):
    """Reads the last state of a recurrent network, not its output."""

    layer, x = "rnn", torch.randn(B, 5, 4)

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 8, 2, batch_first=True), nn.Linear(8, 3)

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        _, (h, _) = self.rnn(x)
        return F.cross_entropy(self.head(mix(h[-1])), y)


class Attentive(LastState):
    """Reads the outputs of a recurrent network that has time first, and its state."""

    x = torch.randn(B, B, 4)

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 8), nn.Linear(8, 3)

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        out, h = self.rnn(x.transpose(0, 1))
        out, h = mix(out.transpose(0, 1)), mix(h[-1])
        weights = (out * h[:, None]).sum(2).softmax(1)
        return F.cross_entropy(self.head((out * weights[:, :, None]).sum(1)), y)


class TimeFirst(Stranger):
    """A transformer whose batch is the second dimension, as it is by default."""

    layer, x = "encoder.layers.0", torch.randn(B, B, 8)

    def __init__(self) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(8, 2, 16, 0.0)
        self.encoder, self.head = nn.TransformerEncoder(block, 2, enable_nested_tensor=False), nn.Linear(8, 3)

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        h = mix(self.encoder.layers[0](x.transpose(0, 1)).transpose(0, 1))
        return F.cross_entropy(self.head(self.encoder.layers[1](h.transpose(0, 1)).mean(0)), y)


class Windows(Stranger):
    """Cuts each image into windows, which stand side by side in the batch."""

    layer, x, order = "local", torch.randn(B, 1, 4, 4), "(b w)"

    def __init__(self) -> None:
        super().__init__()
        self.local, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def cut(self, x: Tensor) -> Tensor:
        return x.unfold(2, 2, 2).unfold(3, 2, 2).reshape(4 * len(x), 4)

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        h = mix(self.local(self.cut(x)).view(B, 4, 8))
        return F.cross_entropy(self.head(h.tanh().mean(1)), y)


class Crops(Windows):
    """Two views of the batch, one behind the other, each with its own loss."""

    order = "(v b)"

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        h = self.local(torch.cat([x[..., :2, :2], x[..., 2:, 2:]]).flatten(1))
        return sum(F.cross_entropy(self.head(mix(view).tanh()), y) for view in h.split(B))


class Joined(Windows):
    """The labelled batch with unlabelled samples behind it, of which the network's own opinion is kept small."""

    order = "b+"

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        others = torch.ones(3, 4)
        h = self.local(torch.cat([x[..., 0, :].flatten(1), others]))
        return F.cross_entropy(self.head(mix(h[:B])), y) + self.head(h[B:]).square().mean()


class Dictionary(Stranger):
    """A backbone that returns a dictionary, as those of other libraries do."""

    layer, x = "backbone", torch.randn(B, 4)

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep, self.wide = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"features": [self.deep(x), self.wide(x)], "size": x.shape}

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = self.Backbone(), nn.Linear(8, 3)

    def loss_of(self, x: Tensor, y: Any, mix: Any) -> Tensor:
        one, other = (mix(h) for h in self.backbone(x)["features"])
        return F.cross_entropy(self.head(one.tanh() * other), y)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("kind", [LastState, Attentive, TimeFirst, Windows, Crops, Joined, Dictionary])
def test_loss_and_gradient_are_those_by_hand(kind, per_sample, trainer):
    torch.manual_seed(0)
    module, y = kind(), torch.tensor([0, 1, 2, 0, 1, 2])
    layers = {kind.layer: kind.order} if hasattr(kind, "order") else [kind.layer]
    mix = ManifoldMixup(1.0, layers=layers, seed=2, per_sample=per_sample)
    gradients = []
    module.on_after_backward = lambda: gradients.extend(w.grad.clone() for w in module.parameters())
    trainer(mix).fit(module, DataLoader(TensorDataset(kind.x, y), B))
    draw = mix.last
    got = module.loss.detach()

    def by_hand(h: Tensor) -> Tensor:
        return mixup(h, draw.lam, draw.shift)

    class PerSample:
        """Stands in for ``F.cross_entropy`` of both labels, with the weight of each sample."""

        def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
            lam = torch.as_tensor(draw.lam, dtype=scores.dtype)
            own, partner = (real(scores, each, reduction="none") for each in (labels, labels.roll(-draw.shift)))
            return (lam * own + (1 - lam) * partner).mean()

    real, F.cross_entropy = F.cross_entropy, PerSample()
    try:
        module.zero_grad()
        want = module.loss_of(kind.x, y, by_hand)
        want.backward()
    finally:
        F.cross_entropy = real
    torch.testing.assert_close(got, want.detach())
    for gradient, weight in zip(gradients, module.parameters(), strict=True):
        torch.testing.assert_close(gradient, weight.grad)
