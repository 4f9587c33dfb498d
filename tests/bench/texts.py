"""The texts that figures in the README name, from where anyone can get them.

usage: python tests/bench/texts.py manuals FOLDER
       python tests/bench/texts.py poetry FOLDER [--bytes 2000000]

manuals   Chinese prose from two Debian packages, LibreOffice's help and the Debian Reference (MPL-2.0, GPL): lines of
          twelve characters or more, four in ten of them Chinese, each line once; every twentieth document is held out.
          Needs `apt-get` with its lists up to date, and `dpkg`.
poetry    the verse of the npm package chinese-poetry (MIT, 85 MB), about 33 million characters; every 200th poem is
          held out, or every twentieth of the first so many bytes. Needs `npm`.

FOLDER gets NAME.train.txt and NAME.valid.txt.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("libreoffice-help-zh-cn", "debian-reference-zh-cn")
HELD_OUT = 7  # the place of the held-out document among those that are counted together
CHINESE = re.compile("[\u4e00-\u9fff]")


def prose(text: str) -> Iterator[str]:
    """The lines that are prose in Chinese."""
    for line in text.splitlines():
        line = re.sub(r"\s+", " ", line).strip()
        if len(line) >= 12 and len(CHINESE.findall(line)) >= 0.4 * len(line):
            yield line


def without_tags(page: str) -> str:
    """The text of an HTML page, a line for each of its blocks."""
    page = re.sub(r"(?is)<(script|style|head).*?</\1>", " ", page)
    page = re.sub(r"(?i)<(br|/p|/div|/li|/h\d|/tr|/td|/dt|/dd)[^>]*>", "\n", page)
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def manuals(folder: Path) -> list[str]:
    """The documents of the packages, in the order of their files."""
    packages = folder / "packages"
    for name in PACKAGES:
        if not (packages / name).is_dir():
            packages.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "-q", name], cwd=packages, check=True)
            archive = next(packages.glob(f"{name}_*.deb"))
            subprocess.run(["dpkg", "-x", archive, packages / name], check=True)
    seen: set[str] = set()
    documents = []
    for path in sorted(packages.glob("*/**/*"), key=str):
        name = path.name.lower()
        if path.is_symlink() or not path.is_file() or not re.search(r"\.(html?|txt)(\.gz)?$", name):
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8", "ignore")
        found = prose(without_tags(text) if ".htm" in name else text)
        lines = [line for line in dict.fromkeys(found) if line not in seen]
        seen.update(lines)
        if len(lines) >= 2:
            documents.append("\n".join(lines) + "\n")
    return documents


def poems(archive: Path) -> Iterator[str]:
    """Title, author and lines of every poem."""
    with tarfile.open(archive) as files:
        for member in files:
            if not (member.isfile() and member.name.endswith(".json")):
                continue
            try:
                found: Any = json.load(files.extractfile(member) or [])
            except ValueError:
                continue
            for item in found if isinstance(found, list) else [found]:
                if not isinstance(item, dict):
                    continue
                lines = item.get("paragraphs") or item.get("content") or item.get("para")
                if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
                    head = f"《{item.get('title') or item.get('rhythmic') or ''}》{item.get('author') or ''}"
                    yield head + "\n" + "\n".join(lines) + "\n"


def poetry(folder: Path, most_bytes: int) -> list[str]:
    """The poems of the package, or the first of them."""
    if not list(folder.glob("chinese-poetry-*.tgz")):
        subprocess.run(["npm", "pack", "--silent", "chinese-poetry"], cwd=folder, check=True)
    documents, size = [], 0
    for poem in poems(next(folder.glob("chinese-poetry-*.tgz"))):
        size += len(poem.encode())
        if most_bytes and size > most_bytes:
            break
        documents.append(poem)
    return documents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["manuals", "poetry"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=int, default=0, help="of the poetry, only the first so many")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.name == "manuals":
        documents, every = manuals(given.folder), 20
    else:
        documents, every = poetry(given.folder, given.bytes), 20 if given.bytes else 200
    name = given.name + ("-part" if given.bytes else "")
    sides = {
        "train": [d for i, d in enumerate(documents) if i % every != HELD_OUT],
        "valid": [d for i, d in enumerate(documents) if i % every == HELD_OUT],
    }
    for side, some in sides.items():
        (given.folder / f"{name}.{side}.txt").write_text("\n".join(some), encoding="utf-8")
        print(f"{name}.{side}.txt: {len(some):,} documents, {sum(map(len, some)):,} characters")


if __name__ == "__main__":
    main()
