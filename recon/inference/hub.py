"""Models in the layout of the Hugging Face Hub, for people who publish theirs.

    model = HubModel(load_trained_model("outputs/run/checkpoints/best.pt"))
    model.save_pretrained("chairs")          # a folder, without any network
    model.push_to_hub("NAME/chairs")         # to the hub, with an account
    model = HubModel.from_pretrained("chairs")

Needs the extra `hub`. A folder holds `model.safetensors`, as `recon.runs.weight_files` describes,
`config.json` and a card `README.md`; one that is there already stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download

import recon
from recon.inference.model import Model
from recon.inference.reconstruct import ImageReconstructor
from recon.runs.trained_models import TrainedModel, load_trained_model
from recon.runs.weight_files import save_weights

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class HubModel(Model, ModelHubMixin, library_name="recon", tags=["image-to-3d"]):  # type: ignore[call-arg]
    """A trained model which can be saved for the hub and loaded from it.

    Args:
        trained: The trained model with its checkpoint.
        device: The name of a device, see `recon.compute.choose_device`.

    Raises:
        ValueError: There is no such device.
    """

    def __init__(self, trained: TrainedModel, device: str = "auto") -> None:
        super().__init__(ImageReconstructor(trained, device))
        self.trained = trained

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes the weights in float16 and a short configuration; the mixin writes the rest."""
        framing = self.reconstructor.framing.plain()
        checkpoint = {**self.trained.checkpoint, "framing": framing}
        digest = save_weights(Path(save_directory) / WEIGHTS, self.trained.model, checkpoint)
        facts = {"library": "recon", "version": recon.__version__, "sha256": digest}
        Path(save_directory, CONFIG).write_text(json.dumps(facts, indent=2), encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str = "auto",
        **others: Any,
    ) -> HubModel:
        """Loads the weights of a folder or of a repository of the hub."""
        if others:
            raise ValueError(f"from_pretrained takes device and no {', '.join(sorted(others))}")
        if Path(model_id).is_dir():
            path = Path(model_id) / WEIGHTS
        else:
            path = Path(
                hf_hub_download(
                    model_id,
                    WEIGHTS,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        return cls(load_trained_model(path), device)
