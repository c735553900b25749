"""What all command lines of Hydra share: paths as typed, checked values, errors in one line."""

from hydra_plugins.recon_command_line.command import command, record_config

__all__ = ["command", "record_config"]
