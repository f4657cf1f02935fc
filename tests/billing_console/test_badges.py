from __future__ import annotations

import re

import pytest
from django.apps import apps

from billing_console.badges import SHAPES, WORDS, badge, pill
from billing_console.states import BADGES

TONES = {"neutral", "info", "success", "warning", "danger", "accent"}


def model_states() -> list[tuple[str, str]]:
    """Every state of every model of ours, found through the models themselves."""
    return [
        (model._meta.label, value)
        for label in ("mappings", "sync", "invoicing")
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.fields
        if field.name == "state" and field.choices
        for value, _word in field.choices
    ]


def test_states_were_found() -> None:
    assert {label for label, _state in model_states()} >= {
        "sync.WebhookDelivery",
        "sync.WorkItem",
        "sync.TimeEntry",
        "sync.RemoteRecord",
        "sync.Difference",
        "invoicing.InvoiceRun",
        "invoicing.RunClient",
        "invoicing.Invoice",
    }


@pytest.mark.parametrize(("model", "state"), model_states())
def test_every_state_of_every_model_has_a_word_a_shape_and_a_tone(model: str, state: str) -> None:
    tone, shape = BADGES[state]

    assert tone in TONES
    assert shape in SHAPES
    assert str(WORDS[state])


def test_every_badge_has_a_word() -> None:
    assert set(BADGES) == set(WORDS)


def test_no_two_states_of_one_model_look_and_read_the_same() -> None:
    seen: dict[str, set[tuple[str, str]]] = {}
    for model, state in model_states():
        look = (BADGES[state][1], str(WORDS[state]))
        assert look not in seen.setdefault(model, set()), f"{model}: {state}"
        seen[model].add(look)


def test_a_badge_is_a_pill_with_a_hidden_shape_and_the_word() -> None:
    html = badge("held")

    assert html.startswith('<span class="bc-badge bc-warning"><svg class="bc-shape"')
    assert 'aria-hidden="true"' in html
    assert html.endswith("</svg>Held</span>")
    assert re.sub("<[^>]*>", "", badge("late", "closed in November")) == "closed in November"


def test_a_badge_escapes_its_words() -> None:
    assert "&lt;script&gt;" in badge("held", "<script>")
    assert "&lt;b&gt;" in pill("info", "dot", "<b>")


def test_an_unknown_state_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        badge("perhaps")
