from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

import charrnn
from charrnn.errors import ModelError, UsageError
from charrnn.tokenizer import LEAST, MARKS, Kind, Tokenizer
from charrnn.vocabulary import train_tokenizer

SENTENCES = (
    "循环神经网络一次读一个字，把读过的内容记在隐藏状态里。",
    "隐藏状态是一串数，网络每读一个字就把它改写一遍。",
    "温度低的时候，模型总是挑最有把握的字；温度高的时候，它敢于冒险。",
    "“你好！”他说，“今天的训练要多久？”——大约五分钟……",
    "The LSTM cell keeps 2 states, and the GRU cell keeps 1.",
    "    for step in range(100):\n        loss = train(step)",
    "大脑里的神经元靠突触相连，一起放电的神经元连在一起。",
    "１２月的网络，读到了一个很少见的字：",
)


def prose(lines: int) -> str:
    rng = random.Random(7)
    return "\n".join("".join(rng.choices(SENTENCES, k=3)) for _ in range(lines)) + "\n龘靐"


PROSE = prose(60)
KINDS = get_args(Kind)
BOTH = {kind: train_tokenizer([PROSE], kind) for kind in KINDS}

NASTY = (
    "",
    "▁",
    " ▁ ▁▁  ",
    "▅",
    "\0",
    "网\0络",
    "\r\n\n\r\t\t \x1f\x85\u2028\u2029",
    "   \n    网络",
    "👩‍👩‍👧‍👦🏳️‍🌈🇨🇳",
    "é ạ̈ ｶﾞ",
    "，。！？；：“”（）《》——……",
    "<document><ask><answer><unk><s></s><pad><0xE4>",
    "\ufeff\ufffd\ufffe\uffff\U0010ffff",
    "ﬁ Ａ ① ㎏ 　",
    "龘靐齉",
)
both = pytest.mark.parametrize("kind", KINDS)
# Hypothesis' own text seldom meets the vocabulary: mix in its characters and SentencePiece's own signs.
texts = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(PROSE + "▁▅\0\t\r<>x0EF")))


def table(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each id, told from what `piece` shows alone."""
    pieces = [tokenizer.piece(id) for id in range(tokenizer.size)]
    bytes_of = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}
    return [b"" if piece in ("<unk>", *MARKS) else bytes_of.get(piece, piece.encode()) for piece in pieces]


@both
@pytest.mark.parametrize("text", NASTY)
def test_brings_back_what_sentencepiece_would_mangle(kind: Kind, text: str) -> None:
    assert BOTH[kind].decode(BOTH[kind].encode(text)) == text


@both
@given(text=texts)
def test_brings_back_every_text(kind: Kind, text: str) -> None:
    assert BOTH[kind].decode(BOTH[kind].encode(text)) == text


@both
def test_brings_back_every_character_and_never_produces_a_mark_or_unk(kind: Kind) -> None:
    tokenizer = BOTH[kind]
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & {tokenizer.unknown, tokenizer.document, tokenizer.ask, tokenizer.answer}


@both
def test_takes_each_lone_surrogate_for_a_replacement_character(kind: Kind) -> None:
    assert BOTH[kind].decode(BOTH[kind].encode("网\ud83d\ude00络\udcff")) == "网\ufffd\ufffd络\ufffd"


@both
@given(data=st.data())
def test_decodes_any_ids_as_their_bytes(kind: Kind, data: st.DataObject) -> None:
    tokenizer = BOTH[kind]
    ids = data.draw(st.lists(st.integers(0, tokenizer.size - 1)))
    assert tokenizer.decode(iter(ids)) == b"".join(table(tokenizer)[id] for id in ids).decode("utf-8", "replace")


@both
@given(text=texts, data=st.data())
def test_marks_leave_no_trace_in_the_text(kind: Kind, text: str, data: st.DataObject) -> None:
    tokenizer = BOTH[kind]
    ids = tokenizer.encode(text)
    for id in (tokenizer.document, tokenizer.ask, tokenizer.answer, tokenizer.unknown):
        ids.insert(data.draw(st.integers(0, len(ids))), id)
    assert tokenizer.decode(ids) == text


@both
def test_agrees_with_sentencepiece_on_ordinary_text(kind: Kind) -> None:
    tokenizer = BOTH[kind]
    sentencepiece = SentencePieceProcessor(model_proto=tokenizer.model)
    for line in (PROSE + "中国 🙂 hello").split("\n"):
        ids = tokenizer.encode(line)
        assert ids == sentencepiece.encode(line)
        assert tokenizer.decode(ids) == sentencepiece.decode(ids)


@both
@given(st.lists(texts))
def test_a_text_cut_at_line_ends_gives_the_same_ids(kind: Kind, lines: list[str]) -> None:
    pieces = [line + "\n" for line in lines]
    assert BOTH[kind].encode("".join(pieces)) == [id for piece in pieces for id in BOTH[kind].encode(piece)]


@both
def test_shows_pieces(kind: Kind) -> None:
    tokenizer = BOTH[kind]
    assert tokenizer.kind == kind
    assert tuple(tokenizer.piece(id) for id in (tokenizer.document, tokenizer.ask, tokenizer.answer)) == MARKS
    assert tokenizer.piece(tokenizer.unknown) == "<unk>"
    assert [tokenizer.token_bytes(id) for id in range(tokenizer.size)] == table(tokenizer)
    assert [tokenizer.piece(id) for id in tokenizer.encode(" \n")] == [" ", "\n"]
    assert [tokenizer.piece(id) for id in tokenizer.encode("龘")] == ["<0xE9>", "<0xBE>", "<0x98>"]


@both
@given(data=st.data())
def test_incremental_decoding_adds_up_whatever_the_ids(kind: Kind, data: st.DataObject) -> None:
    tokenizer = BOTH[kind]
    # Bytes are a tenth of the ids only; half of these lists hold nothing else.
    some = st.sampled_from([id for id in range(tokenizer.size) if tokenizer.piece(id).startswith("<0x")])
    ids = data.draw(st.lists(some | st.integers(0, tokenizer.size - 1)))
    decoder = tokenizer.decoder()
    for _ in range(2):  # flush begins anew
        assert "".join(map(decoder.push, ids)) + decoder.flush() == tokenizer.decode(ids)


@both
@given(text=texts)
def test_incremental_decoding_gives_each_character_as_soon_as_it_is_whole(kind: Kind, text: str) -> None:
    tokenizer = BOTH[kind]
    decoder, sizes = tokenizer.decoder(), table(tokenizer)
    said, read = "", 0
    for id in tokenizer.encode(text):
        said += decoder.push(id)
        read += len(sizes[id])
        assert text.startswith(said)  # so no U+FFFD that the text does not hold
        assert len(said) == len(text) or len(said.encode()) <= read < len(text[: len(said) + 1].encode())
    assert (said, decoder.flush()) == (text, "")


def test_half_a_character_is_flushed_as_a_replacement_character() -> None:
    tokenizer = BOTH["char"]
    decoder = tokenizer.decoder()
    first, second, third = tokenizer.encode("龘")
    assert [decoder.push(first), decoder.push(second), decoder.flush()] == ["", "", "\ufffd"]
    assert [decoder.push(first), decoder.push(tokenizer.encode("网")[0])] == ["", "\ufffd网"]
    assert [decoder.push(id) for id in (first, tokenizer.document, second, third)] == ["", "", "", "龘"]
    assert decoder.flush() == ""


def test_characters_are_those_seen_twice_most_frequent_first() -> None:
    counts = Counter(PROSE.replace("\n", ""))
    tokenizer = BOTH["char"]
    pieces = [tokenizer.piece(id) for id in range(LEAST - 1, tokenizer.size)]
    assert set(pieces) == {character for character, count in counts.items() if count >= 2}
    assert [counts[piece] for piece in pieces] == sorted((counts[piece] for piece in pieces), reverse=True)
    assert counts["龘"] == 1


def test_size_counts_everything_and_keeps_the_most_frequent() -> None:
    tokenizer = train_tokenizer(["aaaabbbccdd  e"], "char", size=LEAST + 2)
    assert tokenizer.size == LEAST + 2
    assert {tokenizer.piece(id) for id in range(LEAST - 1, tokenizer.size)} == {"a", "b", " "}


@pytest.mark.parametrize("extra", [1, 20, 150, 400])
def test_subwords_keep_to_the_size_asked_for(extra: int) -> None:
    tokenizer = train_tokenizer([PROSE], "subword", size=LEAST + extra)
    assert LEAST < tokenizer.size <= LEAST + extra
    assert tokenizer.decode(tokenizer.encode(PROSE)) == PROSE


@both
def test_too_large_a_size_gives_what_there_is_and_too_small_a_size_is_refused(kind: Kind) -> None:
    for size in (LEAST, 100_000, 10**12):
        tokenizer = train_tokenizer([PROSE], kind, size=size)
        assert LEAST <= tokenizer.size <= min(size, 2000)
        assert tokenizer.decode(tokenizer.encode(PROSE)) == PROSE
    for size in (-1, 1, LEAST - 1):
        with pytest.raises(UsageError, match=f"at least {LEAST}, not {size}$"):
            train_tokenizer([PROSE], kind, size=size)


@both
@pytest.mark.parametrize("size", [0, LEAST, LEAST + 3, 5000])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "网" * 50,
        "10" * 300 + "1" * 300,
        "天地人",
        "\n" * 50,
        " " * 50,
        "\t\r\0▁▅" * 9,
        "\ud800" * 9,
        "".join(map(chr, range(0x4E00, 0x5600))),
        "<document><unk><0xE4>" * 20,
    ],
)
def test_learns_from_texts_with_next_to_nothing_in_them(kind: Kind, size: int, text: str) -> None:
    tokenizer = train_tokenizer([text], kind, size=size)
    assert tokenizer.kind == kind
    assert tokenizer.size >= LEAST
    for trial in (text.replace("\ud800", ""), "1 个\n网络\t▁<ask>"):
        assert tokenizer.decode(tokenizer.encode(trial)) == trial


def test_subwords_are_words_within_a_line_and_digits_stand_alone() -> None:
    tokenizer = BOTH["subword"]
    texts = [text.decode() for text in table(tokenizer)[LEAST - 1 :]]
    longer = [text for text in texts if len(text) > 1]
    assert "网络" in "".join(longer)
    assert max(map(len, longer)) <= 8
    assert not any(set(text) & set("\n0123456789１２") for text in longer)
    assert len(tokenizer.encode(PROSE)) < 0.9 * len(BOTH["char"].encode(PROSE))


def test_lines_longer_than_sentencepiece_takes_are_learned_from() -> None:
    line = "".join(random.Random(1).choices(("循环", "神经网络", "，"), k=9000))
    tokenizer = train_tokenizer([line], "subword")
    assert {tokenizer.piece(id) for id in tokenizer.encode("神经网络，循环")} >= {"神经网络", "，"}


def test_lines_with_a_sign_of_sentencepieces_own_are_learned_from() -> None:
    lines = random.Random(1).choices(("▅循环", "神经网络▅", "循环▅神经网络"), k=300)
    tokenizer = train_tokenizer(["\n".join(lines)], "subword")
    assert [tokenizer.piece(id) for id in tokenizer.encode("神经网络")] == ["神经网络"]


@both
def test_stops_reading_after_the_sample(kind: Kind) -> None:
    def endless() -> Iterator[str]:
        yield "天" * 10
        yield "地" * 10 + "人" * 10
        raise AssertionError("read beyond the sample")

    tokenizer = train_tokenizer(endless(), kind, max_characters=20)
    pieces = "".join(tokenizer.piece(id) for id in range(LEAST - 1, tokenizer.size))
    assert set(pieces) == set("天地 ")


@both
def test_an_error_in_the_texts_comes_through(kind: Kind) -> None:
    def broken() -> Iterator[str]:
        yield PROSE
        raise UsageError("no such file")

    with pytest.raises(UsageError, match="no such file"):
        train_tokenizer(broken(), kind)


@both
def test_same_texts_same_bytes_same_tokenizer(kind: Kind) -> None:
    again = train_tokenizer(iter([PROSE]), kind)
    assert again.model == BOTH[kind].model
    loaded = Tokenizer(again.model)
    assert (loaded.kind, loaded.size, loaded.model) == (kind, again.size, again.model)
    assert loaded.encode(PROSE) == BOTH[kind].encode(PROSE)


@both
def test_another_process_learns_the_same_and_prints_nothing(kind: Kind) -> None:
    program = (
        "import hashlib, sys; from charrnn.vocabulary import train_tokenizer;"
        "model = train_tokenizer([sys.stdin.buffer.read().decode()], sys.argv[1]).model;"
        "train_tokenizer(['▅' * 9999, chr(0), '', '网' * 9999], sys.argv[1], size=300);"
        "sys.exit(0 if hashlib.sha256(model).hexdigest() == sys.argv[2] else 3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, kind, hashlib.sha256(BOTH[kind].model).hexdigest()],
        input=PROSE.encode(),
        capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": "5"},
        cwd=Path(charrnn.__file__).parents[1],
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_halves_spell_their_subword_and_no_pair_is_likelier() -> None:
    tokenizer = BOTH["subword"]
    score = SentencePieceProcessor(model_proto=tokenizer.model).get_score
    halves = tokenizer.halves()
    assert len(halves) > 10
    for id, pair in halves.items():
        assert "".join(map(tokenizer.piece, pair)) == tokenizer.piece(id)
    pieces = {tokenizer.piece(id): id for id in range(tokenizer.size)}
    for text, id in pieces.items():
        cuts = [(pieces.get(text[:k]), pieces.get(text[k:])) for k in range(1, len(text))]
        scores = [score(a) + score(b) for a, b in cuts if a is not None and b is not None]
        assert (id in halves) is bool(scores)
        assert not scores or sum(map(score, halves[id])) == max(scores)
    assert BOTH["char"].halves() == {}


def foreign(last: str = "循环 网络", **changes: Any) -> bytes:
    """A SentencePiece model with the settings of ours, but for some."""
    sentences = [*SENTENCES[:3], last]
    model = io.BytesIO()
    settings: dict[str, Any] = {
        "model_type": "unigram",
        "vocab_size": 400,
        "hard_vocab_limit": False,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "control_symbols": list(MARKS),
        "minloglevel": 2,
    }
    SentencePieceTrainer.Train(sentence_iterator=iter(sentences), model_writer=model, **settings | changes)
    return model.getvalue()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"byte_fallback": False}, "no byte pieces"),
        ({"control_symbols": list(MARKS[:2])}, "no mark <answer>"),
        ({"control_symbols": [], "user_defined_symbols": list(MARKS)}, "no mark <document>"),
        ({"normalization_rule_name": "nmt_nfkc"}, "normaliser"),
        ({"add_dummy_prefix": True}, "normaliser"),
        ({"remove_extra_whitespaces": True}, "normaliser"),
        ({"model_type": "bpe"}, "neither char nor unigram"),
    ],
)
def test_refuses_models_that_are_not_ours(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as refusal:
        Tokenizer(foreign(**changes))
    assert "\n" not in str(refusal.value)


def test_refuses_subwords_without_a_space() -> None:
    assert Tokenizer(foreign()).kind == "subword"
    with pytest.raises(ModelError, match="no piece for the space"):
        Tokenizer(foreign("循环网络"))


@pytest.mark.parametrize("model", [b"", b"\0", b"x", b"\xff" * 100, b"PK\x03\x04" * 9, b"\x0a\x05\x0a\x03abc"])
def test_refuses_what_is_no_model(model: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="damaged"):
        Tokenizer(model)
    assert capfd.readouterr() == ("", "")


@both
def test_damaged_bytes_are_refused_or_harmless(kind: Kind, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(3)
    refused = 0
    for _ in range(300):
        model = bytearray(BOTH[kind].model)
        for _ in range(rng.randrange(4)):
            model[rng.randrange(len(model))] = rng.randrange(256)
        if rng.random() < 0.4:
            del model[rng.randrange(len(model)) :]
        try:
            tokenizer = Tokenizer(bytes(model))
        except ModelError:
            refused += 1
        else:
            assert tokenizer.decode(tokenizer.encode(NASTY[7] + "龘")) == NASTY[7] + "龘"
    assert refused > 100
    assert capfd.readouterr() == ("", "")
