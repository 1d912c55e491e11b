"""Who may do what: `tokens` are what the file of tokens says, `decision` is what that means for a request."""
