"""The decorator of all command lines of Hydra: paths as typed, checked values, one-line errors.

Hydra runs every module below `hydra_plugins` a second time when it looks for plug-ins, except those
whose name begins with an underscore; these keep the state of the running command.
"""

from hydra_plugins.recon_command_line._command import command, record_config

__all__ = ["command", "record_config"]
