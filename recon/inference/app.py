"""A page in the browser: drop an image, see its mask, the mesh to turn, and download the mesh.

    recon-app [--checkpoint FILE] [--port N] [--device DEVICE]

serves the page to this machine alone, at http://127.0.0.1:7860. It needs the extra `app` (Gradio)
and no network: the page loads nothing from elsewhere and reports to nobody. Images are of at most
10 MB, 100 in a visit. Nothing is kept: uploads lie in a temporary folder, are deleted after five
minutes and with the end of the program; results are part of the page and never on disk.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import signal
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from PIL import Image

from recon.command_line import USER_ERRORS, CommandParser, concise_errors
from recon.evaluation.report_page.rendering import render
from recon.geometry.cameras import Cameras
from recon.inference.files import draw_overlay
from recon.inference.model import Model, ReconstructedMesh, load
from recon.preparation.sources.shapes import make_shape
from recon.runs.shipped_models import DEFAULT_MODEL
from recon.visualization.draw import draw_mesh, to_pixels
from renderer_cuda import build

ADDRESS, PORT = "127.0.0.1", 7860
# Bytes of one upload; images reconstructed in one visit; visitors who may wait.
LARGEST, MOST_IMAGES, MOST_WAITING = 10_000_000, 100, 16
# Seconds between two looks for old uploads, and after which an upload is old.
CLEANING, KEPT = 60, 300
# The page may load nothing from other machines, and its frames neither.
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"
# Objects shown as examples, by category, of a seed which no training set has.
EXAMPLES, EXAMPLE_SEED, EXAMPLE_SIDE = ("chair", "table", "airplane", "lamp"), 1_000_003, 256
WAITING = "<p>Drop an image of one object. The mesh appears here.</p>"
STYLE = """
.recon-images { display: flex; gap: 1em; }
.recon-images figure { margin: 0 0 1em 0; flex: 1; }
.recon-images img { width: 100%; height: 220px; object-fit: contain; background: #eee; }
.recon-download { display: inline-block; margin: 0.5em 1em 0 0; padding: 0.4em 1em;
  border: 1px solid #888; border-radius: 4px; text-decoration: none; }
"""


def result_html(mesh: ReconstructedMesh) -> str:
    """Returns what the page shows of a reconstruction; images and files are part of it.

    Args:
        mesh: The reconstruction.
    """
    made = mesh.reconstruction
    downloads = [_download(mesh, suffix) for suffix in (".glb", ".obj")]
    return render(
        "app_result.html",
        mask=_png(made.image.rgba.transpose(1, 2, 0)),
        mask_source=f"by its {made.image.mask}" if made.image.mask != "estimated" else "estimated",
        overlay=_png(draw_overlay(made)),
        iou=f"{made.iou:.2f}",
        viewer=mesh.show(height=360)._repr_html_(),
        downloads=[(name, _data_url(content)) for name, content in downloads],
        notes=made.image.notes,
    )


def example_images(folder: Path) -> list[Path]:
    """Draws generated objects on white, one file of each category of `EXAMPLES`."""
    camera = Cameras.orbit(*(torch.tensor([value]) for value in (-40.0, 25.0, 2.732, 30.0)))
    paths = []
    for category in EXAMPLES:
        shape = make_shape(category, EXAMPLE_SEED, 0)
        colors = torch.from_numpy(shape.face_rgba[:, None, :3]).clone()
        pixels = to_pixels(draw_mesh(shape.mesh(), camera, EXAMPLE_SIDE, colors))[0]
        paths.append(folder / f"{category}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def build_page(model: Model, examples: Sequence[Path]) -> Any:
    """Returns the page as a `gradio.Blocks`.

    Args:
        model: What reconstructs.
        examples: The files of images to choose from.
    """
    import gradio

    def answer(path: str | None, count: int) -> tuple[str, int]:
        if path is None:
            return WAITING, count
        if count >= MOST_IMAGES:
            raise gradio.Error(f"{MOST_IMAGES} images were reconstructed; load the page again")
        if Path(path).stat().st_size > LARGEST:
            raise gradio.Error(f"an image must have at most {LARGEST // 1_000_000} MB")
        try:
            return result_html(model.reconstruct(Path(path).read_bytes())), count + 1
        except USER_ERRORS as error:
            raise gradio.Error(str(error)) from error

    with gradio.Blocks(
        title="recon", analytics_enabled=False, delete_cache=(CLEANING, KEPT)
    ) as page:
        gradio.Markdown("# A mesh of your image\nOne object, before a plain background or cut out.")
        count = gradio.State(0)
        with gradio.Row():
            with gradio.Column(scale=1):
                image = gradio.Image(
                    label="your image",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                )
                if examples:
                    gradio.Examples([str(path) for path in examples], image, label="examples")
            with gradio.Column(scale=2):
                result = gradio.HTML(WAITING)
        image.change(
            answer, [image, count], [result, count], api_visibility="private", concurrency_limit=1
        )
    page.queue(max_size=MOST_WAITING)
    return page


def serve(page: Any, port: int, folder: Path) -> None:
    """Serves a page to this machine until the program is interrupted.

    Args:
        page: What `build_page` returned.
        port: The port.
        folder: The folder of the examples, which the page may show.

    Raises:
        OSError: The port is in use.
    """
    import gradio
    from starlette.middleware import Middleware

    fonts = ["system-ui", "sans-serif"]  # those of the machine; the usual theme asks for others
    print(f"http://{ADDRESS}:{port} (Ctrl-C ends it)", flush=True)
    page.launch(
        server_name=ADDRESS,
        server_port=port,
        share=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=LARGEST,
        allowed_paths=[str(folder)],
        theme=gradio.themes.Default(font=fonts, font_mono=["monospace"]),
        css=STYLE,
        app_kwargs={"middleware": [Middleware(OwnPolicy)]},
        quiet=True,
    )


class OwnPolicy:
    """Adds the content security policy to every answer of a server.

    Args:
        app: The ASGI application which answers.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message["headers"], policy]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument(
        "--checkpoint",
        default=DEFAULT_MODEL,
        help=f"of a training run, or the name of a shipped model ({DEFAULT_MODEL})",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"({PORT})")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (auto)")
    args = parser.parse_args(arguments)
    if not 1 <= args.port <= 65_535:
        parser.error(f"--port must lie in 1..65535, got {args.port}")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the page until the program is interrupted."""
    args = parse(arguments)
    # Being ended by another program clears up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with concise_errors(raised_as=SystemExit), tempfile.TemporaryDirectory() as name:
        if find_spec("gradio") is None:
            raise ValueError("recon-app needs the package gradio: pip install 'recon[app]'")
        model = load(args.checkpoint, args.device)
        build.load("cpu")  # the first time on a machine it may have to be compiled
        # Both must be set before Gradio is loaded.
        os.environ["GRADIO_TEMP_DIR"] = name
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        folder = Path(name, "examples")
        folder.mkdir()
        serve(build_page(model, example_images(folder)), args.port, folder)


def _download(mesh: ReconstructedMesh, suffix: str) -> tuple[str, bytes]:
    """Returns the name and content of a mesh file; of several, such as a texture, an archive."""
    with tempfile.TemporaryDirectory() as folder:
        mesh.save(Path(folder, f"mesh{suffix}"))
        paths = sorted(Path(folder).iterdir())
        if len(paths) == 1:
            return paths[0].name, paths[0].read_bytes()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.name)
        return f"mesh_{suffix[1:]}.zip", buffer.getvalue()


def _png(pixels: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels.copy()).save(buffer, "PNG")
    return _data_url(buffer.getvalue(), "image/png")


def _data_url(content: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


if __name__ == "__main__":
    main()
