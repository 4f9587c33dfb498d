import unicodedata

from charrnn.plain import plain


def test_nothing_that_steers_a_terminal_is_left():
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        shown = plain(chr(code))
        assert shown == "\n" or not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in shown), hex(code)
        assert not any(unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                       for c in shown)  # fmt: skip


def test_text_stays_as_it_is():
    text = "循环神经网络（RNN）：h_t = tanh(…)\n𠮷 👩‍💻 é"
    assert plain(text) == text
    assert plain("\x1b[31m红\x07\t\r") == "␛[31m红␇    ␍"
