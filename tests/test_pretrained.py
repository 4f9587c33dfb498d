"""The model that ships: its size, and the held-out figure of its card, found again."""

import json

import pytest

import charrnn
from charrnn.card import card_rows
from charrnn.checkpoint import CARD
from charrnn.corpus import read_corpus
from charrnn.evaluation import score_documents
from charrnn.paths import CONFIG, pretrained
from charrnn.spool import is_held_out

MOST = 16_000_000  # bytes


def test_it_is_small():
    assert sum(path.stat().st_size for path in pretrained().rglob("*")) < MOST


def test_its_held_out_figure_is_that_of_its_card():
    """By the engine, document by document, of which the figure was made in torch, side by side."""
    model = charrnn.load()
    documents = (document for document in read_corpus(["corpus"]) if is_held_out(document.name))
    found = score_documents(model.engine, model.tokenizer, documents).alone
    info = json.loads((pretrained() / CONFIG).read_text(encoding="utf-8"))
    assert found.characters == info["held_out"]["characters"]
    assert found.bits_per_character == pytest.approx(info["held_out"]["bits_per_character"], abs=0.005)
    card = (pretrained() / CARD).read_text(encoding="utf-8")
    assert all(f"| {name} | {value} |" in card for name, value in card_rows(info))
