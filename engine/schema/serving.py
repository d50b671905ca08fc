"""How the chat server and the studio listen."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class ServingArgs:
    host: str = arg(
        "127.0.0.1", "Address to listen on. Any but loopback asks for a key.", label="Host", tier="common"
    )
    port: int = arg(
        8000, "Port to listen on; 0 takes any free one.", label="Port", ge=0, le=65535, tier="common"
    )
    model_name: str | None = arg(
        None, "Name the model is served under. Empty: the folder's.", label="Served name"
    )
    use_cpu: bool = arg(False, "Stay off the GPU.", label="CPU only", tier="common")


@dataclass(frozen=True)
class WebuiOptions:
    host: str = arg("127.0.0.1", "Address to listen on.", label="Host", tier="basic")
    port: int = arg(7860, "Port of the page.", label="Port", ge=1, le=65535, tier="basic")
    root_path: str = arg("", "Path prefix when a proxy strips one.", label="Root path")
    allowed_hosts: tuple[str, ...] = arg(
        (), "Further host names the page may be opened under, separated by commas.", label="Allowed hosts"
    )
    inbrowser: bool = arg(False, "Open the page in a browser on this machine.", label="Open browser")
    start: str | None = arg(
        None, "Submit this argument file as a training job and open the page on it.", label="Start"
    )
