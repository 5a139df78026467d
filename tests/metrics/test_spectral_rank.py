"""The spectral rank of synthetic spectra and embeddings, against closed forms and a loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_zoo.metrics import Embeddings, measure_embeddings, rank_of
from ssl_zoo.metrics.spectral_rank import spectral_rank

energies = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=30).map(lambda e: sorted(e, reverse=True))


def naive(spectrum: list[float]) -> int:
    total = sum(spectrum)
    for k in range(1, len(spectrum)):
        law = (k + 1) ** -4 / sum(j**-4 for j in range(1, k + 2))
        if sum(spectrum[k:]) / total < law * (1 - 1e-9):
            return k
    return len(spectrum)


def power_law(exponent: float, directions: int) -> torch.Tensor:
    return torch.arange(1, directions + 1, dtype=torch.float64) ** -exponent


def rank(z: torch.Tensor) -> float:
    return spectral_rank(Embeddings(z))


@given(energies)
def test_it_is_the_definition(spectrum: list[float]) -> None:
    assert rank_of(torch.tensor(spectrum, dtype=torch.float64)) == naive(spectrum)


@given(energies, st.integers(0, 28), st.floats(0, 1))
def test_energy_moved_to_a_stronger_direction_never_raises_it(
    spectrum: list[float], which: int, part: float
) -> None:
    which = which % (len(spectrum) - 1)
    moved = list(spectrum)
    moved[which] += part * spectrum[-1]
    moved[-1] -= part * spectrum[-1]
    before, after = (rank_of(torch.tensor(sorted(s, reverse=True)).double()) for s in (spectrum, moved))
    assert after <= before


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("directions", [1, 2, 9, 128, 2048])
def test_a_power_law_up_to_the_exponent_has_all_its_directions(exponent: float, directions: int) -> None:
    assert rank_of(power_law(exponent, directions)) == directions


@pytest.mark.parametrize("directions", [3, 176, 177, 500, 1500])
def test_equal_directions_are_counted_however_many(directions: int) -> None:
    """From 177 on the law is below 1e-9 of all energy."""
    spectrum = torch.zeros(2048, dtype=torch.float64)
    spectrum[:directions] = 1 / directions
    assert rank_of(spectrum) == directions


def test_a_steeper_power_law_has_fewer() -> None:
    assert rank_of(power_law(4.5, 128)) < 128
    assert rank_of(power_law(8.0, 128)) == 1


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_balanced_one_hot_classes_have_one_direction_less_than_classes(classes: int) -> None:
    for width, each in ((classes, 1), (classes, 7), (512, 2)):
        assert rank(torch.eye(classes, width).repeat(each, 1)) == classes - 1


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_an_exact_low_rank(directions: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(256, directions, generator=g)
    z = torch.cat(
        [z / z.norm(dim=1, keepdim=True), torch.ones(256, 1)], dim=1
    )  # unit length leaves no direction over
    z = z @ torch.linalg.qr(torch.randn(64, directions + 1, generator=g))[0].T
    if directions > 1:  # a circle has two
        assert rank(z) <= directions
    assert rank(z.repeat(1, 32)) == rank(z)


def test_noise_adds_no_directions() -> None:
    spectrum = torch.tensor([1 / 3] * 3 + [1e-3 / 1000] * 1000, dtype=torch.float64)
    assert rank_of(spectrum) == 3
    p = spectrum.sqrt() / spectrum.sqrt().sum()
    assert torch.special.entr(p).sum().exp() == pytest.approx(48, abs=1)  # the effective rank sees many


def test_equal_embeddings_have_the_rank_one() -> None:
    assert rank(torch.ones(20, 8)) == 1
    assert measure_embeddings(torch.zeros(20, 8), torch.zeros(20, 8))["spectral_rank"] == 1
