"""Plugins: architectures, attention scores, tokenizers, searches, corpus formats and metrics of your own.

A plugin is a Python file with a variable `plugin`:

    from regard.plugins import Plugin

    plugin = Plugin(metrics={"same_length": same_length})

Give the file as `--plugin my_plugin.py`, or call `regard.load_plugin("my_plugin.py")`. A package offers its plugin as
an entry point of the group `regard.plugins`; give the name of that entry point instead.
"""

from regard.plugins.loading import load_plugin as load_plugin
from regard.plugins.plugin import Plugin as Plugin
