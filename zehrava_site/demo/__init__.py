"""People, agents, policies and proposals to look around with; `manage.py demo` makes them."""
