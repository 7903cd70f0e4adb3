"""Compiled steps, modules and losses: each gives the exact value, in one graph, or runs without the compiler."""

import itertools
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from lightning_mixup import MixedTarget
from lightning_mixup.targets import Lockstep, MixedTargetError, value

# torch 2.13's own compiler warns of these, as it looks at the tensors and functions that it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning"),
]
B, C = 6, 5
A, OTHER = torch.tensor([0, 3, 1, 4, 2, 2]), torch.tensor([2, 0, 3, 1, 4, 2])


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, label_smoothing=0.1)


def one_hot(z: Tensor, y: Tensor) -> Tensor:
    return -(F.one_hot(y, C).float() * z.log_softmax(1)).sum(1).mean()


def focal(z: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(z, y)
    return (1 - torch.exp(-ce)) ** 2 * ce


def indexed(z: Tensor, y: Tensor) -> Tensor:
    return -z.log_softmax(1)[torch.arange(len(y)), y].mean() / y.shape[0]


def scattered(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z).scatter_(1, y[:, None], 1.0).mul_(0.9).add_(0.02)
    return -(hot * z.log_softmax(1)).mean()


def assigned(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z)
    hot[torch.arange(len(y)), y] = 1.0
    return (hot - z.softmax(1)).square().sum()


def smoothed_without_gradient(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        soft = torch.full_like(z, 0.02).scatter(1, y[:, None], 0.92)
    return F.kl_div(z.log_softmax(1), soft, reduction="batchmean")


def margin(z: Tensor, y: Tensor) -> Tensor:
    cos = F.normalize(z)
    cos = torch.where(F.one_hot(y, C).bool(), cos - 0.3, cos)
    return F.cross_entropy(8 * cos, y)


def missing(z: Tensor, y: Tensor) -> Tensor:
    y[y == 2] = -100
    return F.cross_entropy(z, y)


def read(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="sum") / (1 + (y == 2).sum().item())


def selected(z: Tensor, y: Tensor) -> Tensor:
    return -z.log_softmax(1)[F.one_hot(y, C).bool()].mean()


def noisy(z: Tensor, y: Tensor) -> Tensor:
    return -(F.dropout(F.one_hot(y, C).float(), 0.3) * z.log_softmax(1)).sum()


TRACED = [
    cross_entropy,
    one_hot,
    focal,
    indexed,
    scattered,
    assigned,
    smoothed_without_gradient,
    margin,
    missing,
]
UNTRACED = [read, selected, noisy]


class Loss(nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.loss(z, y)


class Net(nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(4, C)
        self.loss = loss

    def training_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        x, y = batch
        return self.loss(self.net(x), y)


def whole_step(loss: Any, backend: Any) -> Net:
    module = Net(loss)
    module.training_step = torch.compile(module.training_step, backend=backend)
    return module


def decorated_step(loss: Any, backend: Any) -> Net:
    class Decorated(Net):
        training_step = torch.compile(Net.training_step, backend=backend)

    return Decorated(loss)


def loss_function(loss: Any, backend: Any) -> Net:
    return Net(torch.compile(loss, backend=backend))


def loss_module(loss: Any, backend: Any) -> Net:
    return Net(torch.compile(Loss(loss), backend=backend))


def loss_module_in_place(loss: Any, backend: Any) -> Net:
    module = Net(Loss(loss))
    module.loss.compile(backend=backend)
    return module


def loss_method(loss: Any, backend: Any) -> Net:
    class Method(Net):
        @torch.compile(backend=backend)
        def method(self, z: Tensor, y: Tensor) -> Tensor:
            return loss(z, y)

        def training_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
            return self.method(self.net(batch[0]), batch[1])

    return Method(loss)


WAYS = [whole_step, decorated_step, loss_function, loss_module, loss_module_in_place, loss_method]


def check(build: Any, loss: Any, backend: Any, steps: int = 3) -> None:
    """Compare value and gradient of some steps with the formula."""
    torch._dynamo.reset()
    module, formula = build(loss, backend), Net(loss)
    lockstep = Lockstep(module)
    lockstep.attach()
    generator = torch.Generator().manual_seed(1)
    for lam in itertools.islice((0.3, 0.75, 0.6), steps):
        x = torch.randn(B, 4, generator=generator)
        y = MixedTarget(A.clone(), OTHER.clone(), lam)
        lockstep.begin({1: y})
        torch.manual_seed(2)
        got = lockstep.result(lockstep.call(module.training_step, (x, y), 0))
        lockstep.require_use(trained=True)
        got = got, *torch.autograd.grad(got, list(module.net.parameters()))
        lockstep.end()
        parts = []
        for half in (A, OTHER):
            torch.manual_seed(2)
            parts.append(formula.training_step((x, half.clone())))
        want = lam * parts[0] + (1 - lam) * parts[1]
        torch.testing.assert_close(got, (want, *torch.autograd.grad(want, list(formula.net.parameters()))))
    lockstep.detach()


@pytest.mark.parametrize("loss", TRACED, ids=lambda loss: loss.__name__)
def test_a_compiled_step_is_exact_in_one_graph(loss):
    backend = CompileCounterWithBackend("aot_eager" if loss is assigned else "eager")
    check(whole_step, loss, backend)
    assert backend.frame_count == 1


@pytest.mark.parametrize("build", WAYS, ids=lambda build: build.__name__)
def test_whatever_is_compiled(build):
    backend = CompileCounterWithBackend("eager")
    check(build, scattered, backend)
    assert backend.frame_count == 1


@pytest.mark.parametrize("build", [whole_step, loss_function])
@pytest.mark.parametrize("loss", UNTRACED, ids=lambda loss: loss.__name__)
def test_what_cannot_be_traced_runs_without_the_compiler(build, loss):
    backend = CompileCounterWithBackend("eager")
    with pytest.warns(UserWarning, match="is compiled, but with mixed labels it runs without the compiler"):
        check(build, loss, backend)
    assert backend.frame_count == 0


def test_weights_of_each_sample_run_without_the_compiler():
    module, lam = whole_step(one_hot, "eager"), torch.rand(B)
    x, y = torch.randn(B, 4), MixedTarget(A, OTHER, lam)
    lockstep = Lockstep(module)
    lockstep.begin({1: y})
    with pytest.warns(UserWarning, match="each sample has a weight of its own"):
        got = lockstep.result(lockstep.call(module.training_step, (x, y)))
    z = module.net(x).log_softmax(1)
    want = -(lam * z[range(B), A] + (1 - lam) * z[range(B), OTHER]).mean()
    torch.testing.assert_close(got, want)


def test_plain_batches_stay_with_the_compiler():
    backend = CompileCounterWithBackend("eager")
    module = whole_step(one_hot, backend)
    lockstep = Lockstep(module)
    lockstep.begin({})
    for _ in range(3):
        lockstep.call(module.training_step, (torch.randn(B, 4), A))
    assert backend.frame_count == 1


def test_results_of_a_step_keep_their_shape():
    class Reporting(Net):
        def training_step(self, batch: Any, batch_idx: int = 0) -> Any:
            x, y = batch["x"], batch["y"]
            z = self.net(x)
            right = (z.argmax(1) == y).float().mean()
            return {"loss": F.cross_entropy(z, y), "accuracy": right, "labels": y, "logits": z}

    module = Reporting(None)
    plain, module.training_step = module.training_step, torch.compile(module.training_step, backend="eager")
    x, y = torch.randn(B, 4), MixedTarget(A, OTHER, 0.75)
    lockstep = Lockstep(module)
    lockstep.begin({"y": y})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        got = lockstep.result(lockstep.call(module.training_step, {"x": x, "y": y}))
    one, other = (plain({"x": x, "y": half}) for half in (A, OTHER))
    assert all(type(leaf) is Tensor for leaf in got.values())
    torch.testing.assert_close(got["loss"], 0.75 * one["loss"] + 0.25 * other["loss"])
    torch.testing.assert_close(got["accuracy"], 0.75 * one["accuracy"] + 0.25 * other["accuracy"])
    assert torch.equal(got["labels"], A)
    assert torch.equal(got["logits"], one["logits"])


def test_labels_that_no_loss_used():
    module = whole_step(lambda z, y: z.mean(), "eager")
    x, y = torch.randn(B, 4), MixedTarget(A, OTHER, 0.75)
    lockstep = Lockstep(module)
    lockstep.begin({1: y})
    lockstep.result(lockstep.call(module.training_step, (x, y)))
    with pytest.raises(MixedTargetError, match="none of its losses used the mixed labels"):
        lockstep.require_use(trained=True)


def test_a_metric_within_a_compiled_step_gets_plain_labels():
    class Rate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.right = torch.zeros(())

        def update(self, pred: Tensor, y: Tensor) -> None:
            self.right = self.right + (pred == y).sum()

        def compute(self) -> Tensor:
            return self.right

    class Measured(Net):
        def training_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
            z = self.net(batch[0])
            self.rate.update(z.argmax(1), batch[1])
            return F.cross_entropy(z, batch[1])

    module = Measured(None)
    module.rate = Rate()
    module.training_step = torch.compile(module.training_step, backend="eager")
    lockstep = Lockstep(module)
    lockstep.attach()
    total = 0
    for lam in (0.75, 0.25):
        x, y = torch.randn(B, 4), MixedTarget(A, OTHER, lam)
        lockstep.begin({1: y})
        lockstep.result(lockstep.call(module.training_step, (x, y)))
        lockstep.end()
        total += (module.net(x).argmax(1) == (A if lam > 0.5 else OTHER)).sum().item()
    assert type(module.rate.right) is Tensor
    assert module.rate.right.item() == total
    lockstep.detach()


def test_a_compiled_function_that_nobody_could_surround_is_exact():
    compiled, pred = torch.compile(one_hot, backend="eager"), torch.randn(B, C)
    for lam in (0.75, 0.25):
        loss = value(compiled(pred, MixedTarget(A, OTHER, lam)))
        torch.testing.assert_close(loss, lam * one_hot(pred, A) + (1 - lam) * one_hot(pred, OTHER))
