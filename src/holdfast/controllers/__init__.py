"""A folder per controller: `plan.py` decides (pure), `controller.py` observes; `runner.py` acts for all."""
