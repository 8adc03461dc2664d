"""From a logical line to a typed instruction: one small reader per keyword, one file per family."""
