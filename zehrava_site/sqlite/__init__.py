"""Django's SQLite backend, where those who want to write take turns."""
