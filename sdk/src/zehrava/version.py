"""The package's version, and how its clients introduce themselves."""

__version__ = "0.1.0"
USER_AGENT = f"zehrava-python/{__version__}"
