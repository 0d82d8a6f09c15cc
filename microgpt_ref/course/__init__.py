"""The lecturer's kit, the command `microgpt-course`: a chapter's homework for nbgrader, its grading, slides.

What the kit needs beyond the package itself comes with `pip install 'microgpt-ref[lecturer]'`; nothing of it
is imported before a command asks for it.
"""
