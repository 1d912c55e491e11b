"""Who is let in, on every port.

`needs` is the table of what each call needs, `token_file` keeps the tokens new, `guard` asks `tailgate.access` and
counts, `call` and `http` refuse in the words of their protocol, `exposure` says what may be bound without tokens, and
`command` makes a token.
"""
