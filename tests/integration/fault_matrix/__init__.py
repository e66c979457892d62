"""Every fault of the scripted upstream, at every moment of a pull, with more or less of it in the store.

`table` says what is expected, `cells` brings a cell about, `row` runs all cells of one fault.
"""
