import unicodedata

from charrnn.plain import plain


def test_nothing_that_steers_a_terminal_is_left():
    for code in range(0x110000):
        shown = plain(chr(code))
        if shown in "\n\u200c\u200d":
            continue
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown), hex(code)
        assert shown.encode("utf-8")


def test_text_stays_as_it_is():
    text = "循环神经网络（RNN）：h_t = tanh(…)\n𠮷 👩‍💻 é שלום"
    assert plain(text) == text
    assert plain("\x1b[31m红\x07\t\r\u202e\ud800") == "␛[31m红␇    ␍⟨U+202E⟩⟨U+D800⟩"
