"""Markdown pages as prose and steps."""

from __future__ import annotations

import pytest

from holdfast.cluster.lessons.page import BadPage, Step, Text, parse

PAGE = """\
# A title

What it shows,
in a sentence.

- Programs: `kubectl`, `curl`
- Images: `postgres`
- Capabilities: `nfs`

```console
$ first
one

two

$ second \\
> further
```

Prose between.

```yaml
kind: Pod
```

```console again
$ third
$HOME is not a command
```

```console fails
$ fourth
```
"""


def test_a_page_is_prose_and_the_commands_between():
    page = parse(PAGE)
    assert (page.title, page.summary) == ("A title", "What it shows, in a sentence.")
    assert (page.programs, page.images, page.capabilities) == (("kubectl", "curl"), ("postgres",), ("nfs",))
    assert page.steps == (
        Step(11, "first", ("one", "", "two")),
        Step(16, "second \\\nfurther", ()),
        Step(27, "third", ("$HOME is not a command",), again=True),
        Step(32, "fourth", (), fails=True),
    )
    assert page.parts[3] == Text("Prose between.\n\n```yaml\nkind: Pod\n```")


def test_what_needs_nothing_says_nothing():
    page = parse("# T\n\nS.\n")
    assert (page.programs, page.images, page.capabilities) == ((), (), ())


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("```console\n$ never ends\n", "line 3: the block has no end"),
        ("```console\nwithout command\n```", "line 4: a block of a terminal begins with a command: $ command"),
        ("```console soon\n$ x\n```", "line 3: after console comes one of fails, again, not soon"),
        ("```console again\n$ x\n$ y\n```", "line 3: again is for a block of one command"),
        ("```console again\n```", "line 3: again is for a block of one command"),
    ],
)
def test_a_page_that_cannot_be_played_says_where(block, problem):
    with pytest.raises(BadPage, match=rf"^{problem.replace('$', '.')}$"):
        parse(f"# T\n\n{block}")


def test_a_page_without_title_is_none():
    with pytest.raises(BadPage, match="line 1"):
        parse("No title\n")
