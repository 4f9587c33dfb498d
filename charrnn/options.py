"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Flat = Parameter(name="*")
ModelName = Annotated[
    str | None, Parameter(name=["--model", "-m"], help="Model folder or name; none: the one that ships.")
]
MemoryToo = Annotated[bool, Parameter(name="--memory", help="With the model's n-gram memory, if it has one.")]
Json = Annotated[bool, Parameter(name="--json", negative="")]
MEMORY = False  # in generation: see the README
