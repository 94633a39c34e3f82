"""Expressions in CEL cut apart, as far as changes to their text need it."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
    (?P<text> [rRbB]{0,2} (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' ) )
  | (?P<type> \b(?:Object|JSONPatch)\b (?:\s*\.\s*[A-Za-z_]\w*)* \s* (?=\{) )
  | (?P<name> [A-Za-z_]\w* )
  | (?P<open> [\[({] )
  | (?P<close> [\])}] )
  | (?P<comma> , )
  | (?P<space> \s+ )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
