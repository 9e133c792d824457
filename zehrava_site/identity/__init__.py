"""Who decides: signing in, second factors, and how long a session holds.

`signing_in` is the way from the login page into a session, `account_pages` what people do about their own second
factors, `second_factor` what others ask about the session: when was a factor used last?
"""
