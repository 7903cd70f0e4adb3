from argparse import Namespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_mixup.lab.evaluation.robustness import Pixels, add_noise, fgsm, pgd, rotate, shear, zoom

NORMALISED = Pixels(mean=(0.5, 0.4), std=(0.25, 0.2))


@pytest.fixture
def images():
    return torch.rand(6, 2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@pytest.fixture
def labels():
    return torch.tensor([0, 1, 2, 0, 1, 2])


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(70, 16), nn.Tanh(), nn.Linear(16, 3)).double()


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_against_a_linear_model_an_attack_has_a_closed_form(images, attack):
    """With two classes the loss grows with the margin's negative, whose gradient is the difference of two weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(70, 2)).double()
    labels = torch.tensor([0, 1] * 3)
    direction = (model[1].weight[1] - model[1].weight[0]).sign().view(2, 5, 7)
    towards = torch.where(labels.view(-1, 1, 1, 1) == 0, direction, -direction)
    expected = (images + 0.1 * towards).clamp(0, 1)
    attacked = attack(model, NORMALISED.to_inputs(images), labels, 0.1, NORMALISED)
    torch.testing.assert_close(NORMALISED.to_pixels(attacked), expected)


def test_one_step_follows_the_gradient_of_finite_differences(images, labels):
    model, h = network(), 1e-6
    x = images[:1]
    slope = torch.empty(70, dtype=torch.double)
    for number in range(70):
        step = torch.zeros(70, dtype=torch.double)
        step[number] = h
        up, down = (F.cross_entropy(model(x + sign * step.view_as(x)), labels[:1]) for sign in (1, -1))
        slope[number] = (up - down).detach()
    attacked = fgsm(model, x, labels[:1], 0.01, Pixels(low=None, high=None))
    torch.testing.assert_close(attacked - x, 0.01 * slope.sign().view_as(x))


def test_attacks_stay_within_reach_and_range_and_hurt(images, labels):
    model = network()
    x = NORMALISED.to_inputs(images)
    clean, one, many, started = (
        x,
        fgsm(model, x, labels, 0.1, NORMALISED),
        pgd(model, x, labels, 0.1, NORMALISED, steps=20),
        pgd(model, x, labels, 0.1, NORMALISED, steps=20, generator=torch.Generator().manual_seed(0)),
    )
    for attacked in (one, many, started):
        pixels = NORMALISED.to_pixels(attacked)
        assert (pixels - images).abs().max() <= 0.1 + 1e-9
        assert pixels.min() >= -1e-9
        assert pixels.max() <= 1 + 1e-9
    losses = [F.cross_entropy(model(attacked), labels).item() for attacked in (clean, one, many)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1]


def test_an_attack_of_no_strength_changes_nothing_and_leaves_no_gradient(images, labels):
    model = network()
    for attack in (fgsm, pgd):
        torch.testing.assert_close(attack(model, images, labels, 0.0, Pixels()), images)
    assert all(weight.grad is None for weight in model.parameters())


def test_attacks_work_where_gradients_are_off(images, labels):
    model = network()
    with torch.inference_mode():
        inside = fgsm(model, images.clone(), labels.clone(), 0.1, Pixels())
    torch.testing.assert_close(inside, fgsm(model, images, labels, 0.1, Pixels()))


def test_noise_has_the_strength_asked_for():
    x = torch.full((4, 2, 50, 50), 0.5)
    noisy = add_noise(NORMALISED.to_inputs(x), 0.05, NORMALISED, torch.Generator().manual_seed(0))
    assert float((NORMALISED.to_pixels(noisy) - x).std()) == pytest.approx(0.05, rel=0.02)
    wild = NORMALISED.to_pixels(add_noise(x, 10.0, NORMALISED, torch.Generator().manual_seed(0)))
    assert float(wild.min()) == pytest.approx(0, abs=1e-6)
    assert float(wild.max()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (-90, -1)])
def test_quarter_turns_are_exact(degrees, turns):
    square = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = torch.rot90(square, turns, dims=(2, 3))
    torch.testing.assert_close(rotate(square, degrees, Pixels()), expected, atol=1e-6, rtol=0)


def test_half_a_turn_of_a_picture_that_is_not_square(images):
    torch.testing.assert_close(rotate(images, 180, Pixels()), images.flip(2, 3), atol=1e-6, rtol=0)


def test_a_quarter_turn_keeps_distances_in_a_picture_that_is_not_square():
    wide = torch.zeros(1, 1, 5, 9, dtype=torch.double)
    wide[0, 0, 2, 6] = 1  # two pixels right of the centre ...
    assert float(rotate(wide, 90, Pixels())[0, 0, 0, 4]) == pytest.approx(1)  # ... is two above it


def test_every_image_can_have_its_own_angle(images):
    both = rotate(images[:2], torch.tensor([0.0, 180.0]), Pixels())
    torch.testing.assert_close(both, torch.stack([images[0], images[1].flip(1, 2)]), atol=1e-6, rtol=0)


def test_shear_moves_rows_in_proportion_to_their_height():
    column = torch.zeros(1, 1, 5, 9, dtype=torch.double)
    column[..., 4] = 1
    leaning = shear(column, 45, Pixels())[0, 0]
    assert leaning.argmax(1).tolist() == [6, 5, 4, 3, 2]
    torch.testing.assert_close(shear(column, 0, Pixels()), column)


def test_zooming_in_shows_the_centre_and_out_the_whole(images):
    torch.testing.assert_close(zoom(images, 1.0, Pixels()), images)
    inside = zoom(torch.ones(1, 1, 6, 6), 0.5, Pixels())
    assert torch.equal(inside, torch.ones_like(inside))
    outside = zoom(torch.ones(1, 1, 8, 8), 2.0, Pixels())
    assert outside.sum() == 16
    assert outside[0, 0, 2:6, 2:6].sum() == 16


def test_what_comes_into_view_is_black_whatever_the_normalisation():
    white = NORMALISED.to_inputs(torch.ones(1, 2, 8, 8))
    corner = NORMALISED.to_pixels(zoom(white, 2.0, NORMALISED))[0, :, 0, 0]
    torch.testing.assert_close(corner, torch.zeros(2))


class Announcing:
    mean, std, pixel_range = [0.5, 0.4], torch.tensor([0.25, 0.2]), (0, 255)


def test_pixels_are_what_the_data_announce():
    images, table = torch.zeros(2, 2, 4, 4), torch.zeros(2, 3)
    announced = Pixels.of(Announcing(), images)
    assert (announced.mean, announced.low, announced.high) == ((0.5, 0.4), 0, 255)
    assert announced.std == pytest.approx((0.25, 0.2))
    assert Pixels.of(object(), images) == Pixels()
    assert Pixels.of(object(), table) == Pixels(low=None, high=None)


def test_images_of_an_unknown_normalisation_are_told_and_not_clamped():
    images = torch.tensor([-2.0, 2.0]).view(1, 1, 1, 2)
    with pytest.warns(UserWarning, match=r"reach from -2.00 to 2.00, and Namespace announces no normalisation"):
        assert Pixels.of(Namespace(), images) == Pixels(low=None, high=None)
    assert Pixels.of(Namespace(mean=0.5, std=0.25), images) == Pixels(mean=0.5, std=0.25)
