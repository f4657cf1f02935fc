"""The books: what is true of a day stays true of it (billing-rules: Figures as at a day, and closing).

`facts` compares what stands with what was booked, `dating` says on which day a change counts, `keeping` writes it
down; `unbilled` does the same for work that is on no invoice. `closing` closes months. Everything is read from rows of
ours: nobody is called.
"""
