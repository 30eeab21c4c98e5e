"""The network against an oracle that pads on the other side, in both of its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.model.personalized import NetworkSettings, PersonalizedTransformer
from matinee.model.recommender import Known
from matinee.model.sasrec import SASRecSettings
from matinee.model.sse_pt import SSEPTSettings
from sse_pt_oracle import Oracle

if TYPE_CHECKING:
    from numpy.typing import NDArray

USERS, ITEMS = 5, 9  # rows of the tables
KNOWN = Known(np.arange(USERS) % 4 > 0, np.arange(ITEMS) > 0)  # user 4 is cold

Histories = list[list[int]]


@st.composite
def networks(draw: st.DrawFn) -> PersonalizedTransformer:
    """Any form, with weights that leave nothing near 0."""
    heads = draw(st.sampled_from([1, 2, 3]))
    common = {
        "maxlen": draw(st.integers(1, 7)),
        "blocks": draw(st.integers(1, 3)),
        "heads": heads,
        "norm": draw(st.sampled_from(["query", "pre"])),
        "scale": draw(st.booleans()),
        "dropout": 0.3,
    }
    user_dim = draw(st.sampled_from([0, heads, 2 * heads]))
    item_dim = heads * draw(st.integers(2, 4))
    made: NetworkSettings = (
        SSEPTSettings(**common, item_dim=item_dim, user_dim=user_dim)
        if user_dim
        else SASRecSettings(**common, item_dim=item_dim)
    )
    return scrambled(PersonalizedTransformer(made, KNOWN), draw(st.integers(0, 2**32)))


def scrambled(network: PersonalizedTransformer, seed: int) -> PersonalizedTransformer:
    chance = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(chance.normal(scale=0.5, size=parameter.shape)))
    return network.eval()


@st.composite
def asked(draw: st.DrawFn, maxlen: int) -> tuple[Histories, list[int]]:
    histories = draw(st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=maxlen), min_size=1, max_size=4))
    return histories, draw(st.lists(st.integers(0, USERS - 1), min_size=len(histories), max_size=len(histories)))


def oracle_of(network: PersonalizedTransformer) -> Oracle:
    form = network.settings
    weights = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    return Oracle(weights, form.maxlen, form.blocks, form.heads, pre_norm=form.norm == "pre", scale=form.scale)


def person_of(network: PersonalizedTransformer, row: int) -> NDArray[np.float64] | None:
    return None if network.users is None else network.users.weight[row].detach().double().numpy()


def padded(histories: Histories, *, beyond: int = 0, junk: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Items (B, L), padded on the right, and lengths (B,)."""
    width = max(map(len, histories)) + beyond
    rows = [history + [junk] * (width - len(history)) for history in histories]
    return torch.tensor(rows), torch.tensor([*map(len, histories)])


@given(st.data())
@settings(max_examples=60)
def test_every_state_is_the_oracles(data: st.DataObject) -> None:
    network = data.draw(networks()).double()
    histories, users = data.draw(asked(network.settings.maxlen))
    items, lengths = padded(histories)
    with torch.no_grad():
        states = network.encode(items, lengths, torch.tensor(users)).numpy()
    for row, (history, user) in enumerate(zip(histories, users, strict=True)):
        expected = oracle_of(network).states(history, person_of(network, user))
        np.testing.assert_allclose(states[row, : len(history)], expected, rtol=1e-7, atol=1e-7)


@given(st.data())
@settings(max_examples=60)
def test_the_last_state_is_the_oracles(data: st.DataObject) -> None:
    network = data.draw(networks()).double()
    histories, users = data.draw(asked(network.settings.maxlen))
    items, lengths = padded(histories)
    with torch.no_grad():
        last = network.last(items, lengths, torch.tensor(users)).numpy()
        stand_in = network.stand_in().numpy()
    for row, (history, user) in enumerate(zip(histories, users, strict=True)):
        person = person_of(network, user)
        expected = oracle_of(network).states(history, stand_in if user == 0 and person is not None else person)[-1]
        np.testing.assert_allclose(last[row], expected, rtol=1e-7, atol=1e-7)


@given(st.data())
@settings(max_examples=25)
def test_single_precision_is_near(data: st.DataObject) -> None:
    network = data.draw(networks())
    histories, users = data.draw(asked(network.settings.maxlen))
    arguments = *padded(histories), torch.tensor(users)
    with torch.no_grad():
        single = network.encode(*arguments), network.last(*arguments)
        network.double()
        double = network.encode(*arguments), network.last(*arguments)
    for one, other in zip(single, double, strict=True):
        real = np.isfinite(other.numpy())
        np.testing.assert_allclose(one.numpy()[real], other.numpy()[real], rtol=1e-4, atol=1e-4)


@given(st.data())
@settings(max_examples=25)
def test_neither_padding_nor_the_future_is_seen(data: st.DataObject) -> None:
    network = data.draw(networks())
    histories, users = data.draw(asked(network.settings.maxlen))
    rows = torch.tensor(users)
    items, lengths = padded(histories)
    wider, _ = padded(histories, beyond=2, junk=3)
    with torch.no_grad():
        states, more = network.encode(items, lengths, rows), network.encode(wider, lengths, rows)
        last, more_last = network.last(items, lengths, rows), network.last(wider, lengths, rows)
        other = items.clone()
        other[:, -1] = (other[:, -1] + 1) % ITEMS
        changed = network.encode(other, lengths, rows)
    for row, history in enumerate(histories):
        torch.testing.assert_close(states[row, : len(history)], more[row, : len(history)], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last, more_last, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(states[:, :-1], changed[:, :-1], rtol=1e-4, atol=1e-4)


@given(st.data())
@settings(max_examples=25)
def test_the_user_half_of_a_score_is_the_same_for_every_item(data: st.DataObject) -> None:
    network = data.draw(networks()).double()
    (history, *_), (user, *_) = data.draw(asked(network.settings.maxlen))
    oracle, person = oracle_of(network), person_of(network, user)
    state = oracle.states(history, person)[-1]
    with torch.no_grad():
        last = network.encode(*padded([history]), torch.tensor([user]))[0, len(history) - 1]
        ours = (network.item_vectors() @ last[: network.settings.item_dim]).numpy()
    whole = np.array([oracle.score(state, item, person) for item in range(ITEMS)])
    np.testing.assert_allclose(whole - whole[0], ours - ours[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stranger", ["mean", "unk", "clip"])
def test_who_stands_in_for_a_stranger(stranger: str) -> None:
    network = PersonalizedTransformer(SSEPTSettings(item_dim=4, user_dim=3, stranger=stranger), KNOWN)  # type: ignore[arg-type]
    assert network.users is not None
    vectors = network.users.weight.detach()
    expected = {"mean": vectors[1:4].mean(0), "unk": vectors[0], "clip": vectors[3]}[stranger]
    torch.testing.assert_close(network.stand_in().detach(), expected)


def test_a_stand_in_that_is_given_is_taken() -> None:
    network = scrambled(PersonalizedTransformer(SSEPTSettings(item_dim=4, user_dim=3), KNOWN), 1)
    items, lengths = padded([[1, 2], [3]])
    with torch.no_grad():
        strange = network.last(items, lengths, torch.tensor([0, 0]), network.users.weight[2])  # type: ignore[union-attr]
        named = network.last(items, lengths, torch.tensor([2, 2]))
    torch.testing.assert_close(strange, named)


def test_without_people_there_are_no_strangers() -> None:
    network = PersonalizedTransformer(SASRecSettings(item_dim=4), KNOWN)
    assert network.users is None
    assert network.stand_in().shape == (0,)


def test_weights_are_small_and_padding_is_zero_at_first() -> None:
    network = PersonalizedTransformer(SSEPTSettings(), Known(np.ones(500, np.bool_), np.ones(700, np.bool_)))
    assert not network.items.weight[0].any()
    assert network.items.weight[1:].std().item() == pytest.approx(0.02, rel=0.05)
    assert network.positions.weight.std().item() == pytest.approx(0.02, rel=0.05)
