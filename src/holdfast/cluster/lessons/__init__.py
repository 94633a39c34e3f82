"""The lessons of docs/tutorials, played from their own pages: `holdfast demo LESSON` and the tests do the same.

`page.py` reads a page, `likeness.py` compares what was printed with what the page shows: both are pure.
`shelf.py` finds the pages; `stage.py`, `shell.py` and `player.py` run them on a cluster of their own.
"""
