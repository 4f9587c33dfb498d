"""Held-out bits per character and tokens a second of every cell and tokenizer, in one table."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess

from table import show, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--cells", default="rnn,lstm,gru")
    parser.add_argument("--tokenizers", default="char,subword")
    parser.add_argument("--options", default="", help="further options of charrnn train, for every run")
    parser.add_argument("--also", action="append", default=[], help="NAME=COMMAND that prints valid_bpc= and tok/s=")
    given = parser.parse_args()
    rows = [["run", "bits per character", "tokens/s", "million parameters", "seconds"]]
    for also in given.also:
        name, command = also.split("=", 1)
        said = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout
        figure = {
            key: re.search(rf"{re.escape(key)}=([\d.]+)", said).group(1) for key in ("valid_bpc", "tok/s", "params")
        }
        rows.append([name, figure["valid_bpc"], f"{float(figure['tok/s']):,.0f}", figure["params"], ""])
    for tokenizer in given.tokenizers.split(","):
        for cell in given.cells.split(","):
            words = [given.train, "--valid", given.valid, "--cell", cell, "--tokenizer", tokenizer]
            found = train([*words, "--minutes", str(given.minutes), *shlex.split(given.options)])
            rows.append(
                [
                    f"{cell}, {tokenizer}",
                    f"{found['bits']:.4f}",
                    f"{found['tokens']:,.0f}",
                    f"{found['parameters'] / 1e6:.2f}",
                    f"{found['seconds']:.0f}",
                ]
            )
    show(rows)


if __name__ == "__main__":
    main()
