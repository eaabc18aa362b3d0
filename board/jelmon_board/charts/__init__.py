"""Charts as SVG, drawn on the server; without styles or scripts of their own, so that a strict CSP suffices."""
