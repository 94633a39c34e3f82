"""Files of variables that init containers write (N153): lines `NAME='value'`. Pure.

Source: Kubernetes, pkg/kubelet/util/env. Of what a shell would read, only values in single quotes.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    r"""[ \t]*
    (?: (?: \#.* )?
      | (?P<name> [^=\n]*[^=\s] ) = (?: '(?P<value> [^']* )' [ \t]* (?: \#.* )? | [ \t].* )
    ) (?: \n | \Z )""",
    re.VERBOSE,
)
"""One variable, or nothing; a value may go on over the ends of lines. As in a shell, `A= 'b'` leaves A empty."""


class NotVariables(ValueError):
    """The file does not keep to the form."""


def value_in(text: str, key: str) -> str:
    """Empty if the file does not name it; what follows the key is not read. Raises NotVariables."""
    text = text.replace("\r\n", "\n")
    at = 0
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:
            raise NotVariables
        if line["name"] == key:
            return line["value"] or ""
        at = line.end()
    return ""
