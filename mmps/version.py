"""The version of mmps, read by the build back end too: keep this file free of imports."""

__version__ = '0.1.0'
