"""One module a tab: `TAB` is its id, `build(studio)` draws it."""
