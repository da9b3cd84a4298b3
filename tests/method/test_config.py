"""AdaSparkConfig: what it takes, what it refuses and in which words."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.method.config import DENSE, AdaSparkConfig, as_typed, one_number
from adaspark.method.rules import Rule

shares = st.floats(0, 1)
cubes = st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))


@given(cubes, shares, shares)
def test_a_configuration_survives_json(cube: tuple[int, int, int], p: float, q: float) -> None:
    for config in (AdaSparkConfig(cube, p, q), AdaSparkConfig(cube, p, q, text_top_p=q)):
        assert AdaSparkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "cube", [(0, 1, 1), (1, 1), (1, 1, 1, 1), (1, 2, -3), (1.5, 2, 2), (True, 2, 2), "444", 4, None]
)
def test_a_cube_is_three_whole_numbers_of_at_least_one(cube: Any) -> None:
    with pytest.raises(UserError, match=r"three whole numbers of at least 1.*such as 4,4,4"):
        AdaSparkConfig(cube=cube)


@pytest.mark.parametrize("name", ["attn_top_p", "ffn_top_p"])
@pytest.mark.parametrize(
    "value", [-0.001, 1.001, float("nan"), float("inf"), -float("inf"), "0.5", None, True]
)
def test_a_threshold_is_a_number_from_0_to_1(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name} must be a number from 0 to 1"):
        AdaSparkConfig(**{name: value})


def test_an_unknown_setting_is_named_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'top_p'.*cube, attn_top_p, ffn_top_p"):
        AdaSparkConfig.from_dict({"top_p": 0.5})


def test_whole_numbers_are_thresholds_too_and_lists_are_cubes() -> None:
    config = AdaSparkConfig(cube=[1, 2, 3], attn_top_p=1, ffn_top_p=0)  # type: ignore[arg-type]
    assert config == AdaSparkConfig((1, 2, 3), 1.0, 0.0)
    assert isinstance(config.attn_top_p, float) and isinstance(config.cube, tuple)


def test_text_queries_share_the_threshold_of_attention_unless_they_have_their_own() -> None:
    assert AdaSparkConfig(attn_top_p=0.5).attention_in(0) == Rule("top_p", 0.5)
    assert AdaSparkConfig(attn_top_p=0.5, text_top_p=0.5).attention_in(0) == Rule("top_p", 0.5)
    apart = AdaSparkConfig(attn_top_p=(0.5, 0.7), text_top_p=1).attention_in(1)
    assert apart.of_rows(is_text=False) == Rule("top_p", 0.7)
    assert apart.of_rows(is_text=True) == Rule("top_p", 1.0)
    top_k = AdaSparkConfig(attn_rule="top_k", attn_keep=0.2, text_keep=0.9, text_top_p=0.1)
    assert top_k.attention_in(0) == Rule("top_k", 0.2, text_amount=0.9)
    assert not AdaSparkConfig(attn_top_p=1, ffn_top_p=1, text_top_p=0.9).is_dense
    assert AdaSparkConfig(text_top_p=(1, 0.5)).layers == 2


def test_the_threshold_of_text_is_checked_as_the_others_are() -> None:
    with pytest.raises(UserError, match="text_top_p must be a number from 0 to 1, got 2"):
        AdaSparkConfig(text_top_p=2)
    with pytest.raises(UserError, match="given for 2 layers and text_top_p for 3: give one number"):
        AdaSparkConfig(attn_top_p=(0.5, 0.6), text_top_p=(0.5, 0.6, 0.7))
    with pytest.raises(UserError, match="text_keep goes with attn_rule other than top_p"):
        AdaSparkConfig(text_keep=0.5)


by_layer = st.lists(shares, min_size=3, max_size=3)


@given(shares | by_layer, shares | by_layer)
def test_thresholds_by_layer_survive_json(p: Any, q: Any) -> None:
    config = AdaSparkConfig((1, 2, 3), p, q)
    told = json.loads(json.dumps(config.to_dict()))
    assert (told["attn_top_p"], told["ffn_top_p"]) == (p, q)
    assert AdaSparkConfig.from_dict(told) == config and hash(config) == hash(config)
    for layer in range(3):
        expected = [each[layer] if isinstance(each, list) else each for each in (p, q)]
        assert [config.attention_in(layer).amount, config.ffn_in(layer).amount] == expected


@pytest.mark.parametrize("name", ["attn_top_p", "ffn_top_p"])
def test_a_wrong_threshold_of_a_layer_is_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}\[1\] must be a number from 0 to 1, got 1.5"):
        AdaSparkConfig(**{name: [0.5, 1.5]})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"{name}\[0\] must be a number from 0 to 1, got None"):
        AdaSparkConfig(**{name: [None]})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"{name} is empty: give a number from 0 to 1, or one for"):
        AdaSparkConfig(**{name: []})  # type: ignore[arg-type]


def test_both_halves_have_as_many_layers_as_the_model() -> None:
    with pytest.raises(UserError, match="given for 2 layers and ffn_top_p for 3: give one number"):
        AdaSparkConfig(attn_top_p=(0.5, 0.6), ffn_top_p=(0.5, 0.6, 0.7))
    config = AdaSparkConfig(attn_top_p=(0.5, 0.6), ffn_top_p=0.5)
    assert config.layers == 2 and AdaSparkConfig().layers is None
    config.check_layers(2)
    AdaSparkConfig().check_layers(28)
    with pytest.raises(UserError, match="given for 2 layers and this model has 28"):
        config.check_layers(28)


def test_a_threshold_by_layer_as_one_number_and_as_it_is_typed() -> None:
    assert one_number(0.123) == 0.123 and one_number((0.9, 0.8, 0.0)) == 0.57
    assert as_typed(0.9) == "0.9" and as_typed((0.9, 1.0)) == as_typed([0.9, 1.0]) == "0.9,1"


def test_it_is_dense_only_where_every_layer_is() -> None:
    assert AdaSparkConfig(attn_top_p=(1, 1), ffn_top_p=1).is_dense
    assert not AdaSparkConfig(attn_top_p=(1, 1), ffn_top_p=(1, 0.9)).is_dense
    assert not AdaSparkConfig(attn_top_p=(1, 0.9), ffn_top_p=1).is_dense
    unused = {"attn_rule": "top_k", "attn_keep": 1, "attn_top_p": (0.5, 0.9)}
    assert AdaSparkConfig(**unused, ffn_top_p=1).is_dense  # type: ignore[arg-type]


def test_it_is_dense_only_where_both_thresholds_are_one() -> None:
    assert DENSE.is_dense
    assert not AdaSparkConfig(attn_top_p=1.0, ffn_top_p=0.9).is_dense
    assert not AdaSparkConfig(attn_top_p=0.9, ffn_top_p=1.0).is_dense


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DENSE.attn_top_p = 0.5  # type: ignore[misc]


def test_settings_of_comparisons_appear_only_where_they_are_used() -> None:
    assert AdaSparkConfig().to_dict().keys() == {"cube", "attn_top_p", "ffn_top_p"}
    config = AdaSparkConfig(attn_rule="top_k", attn_keep=0.25, ffn_skipped="bypass")
    assert AdaSparkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.attention_in(0) == Rule("top_k", 0.25) and config.ffn_in(0) == Rule("top_p", 0.7)


@pytest.mark.parametrize("name", ["attn_rule", "ffn_rule", "ffn_skipped"])
def test_an_unknown_rule_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be one of .*got 'best'"):
        AdaSparkConfig(**{name: "best"})  # type: ignore[arg-type]


def test_a_share_goes_with_the_rules_that_need_one() -> None:
    with pytest.raises(UserError, match="attn_keep must be a number from 0 to 1, got None"):
        AdaSparkConfig(attn_rule="recent")
    with pytest.raises(UserError, match="ffn_keep goes with ffn_rule other than top_p"):
        AdaSparkConfig(ffn_keep=0.5)
    with pytest.raises(UserError, match="ffn_rule must be one of"):
        AdaSparkConfig(ffn_rule="recent", ffn_keep=0.5)
