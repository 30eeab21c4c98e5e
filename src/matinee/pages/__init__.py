"""Pages that stand alone in one file: their frame and style, and plots that are part of them."""
