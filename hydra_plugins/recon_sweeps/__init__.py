"""Plug-ins which Hydra finds in the package hydra_plugins: folders of jobs, searches with Optuna.

There is no `hydra_plugins/__init__.py`, as other distributions put their plug-ins beside this one.
"""

from omegaconf import OmegaConf

from hydra_plugins.recon_sweeps.job_folders import job_folder

# Registered here, as a launcher's processes import this package and nothing of train.py.
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
