"""Files of ``rules/`` to definitions: one module for each kind of file."""
