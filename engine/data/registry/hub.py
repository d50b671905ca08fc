"""Datasets on a hub -> local files in the hub library's own cache, in the form in which they were uploaded.

Which files make up a split and a subset is `datasets`' business, downloading huggingface_hub's or
modelscope's; both take tokens from the environment (HF_TOKEN). Kinds of file that we do not read are turned
into arrow by `datasets`. Without network, what the cache holds in full is used.
Try: tunesmith data preview user/name --dataset_dir ONLINE
"""

from __future__ import annotations

import contextlib
import glob
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from engine.data.registry.spec import DatasetSpec
from engine.data.sources import kind_of
from engine.errors import DataError

# How `datasets` writes the address of one file.
ADDRESS = re.compile(r"hf://datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")
COMMIT = re.compile(r"[0-9a-f]{40}")
HUBS = {"hf": "the Hugging Face hub", "ms": "ModelScope"}


def fetch(spec: DatasetSpec) -> tuple[Path, ...]:
    """The dataset's files on this machine, downloaded unless they are there. Raises DataError that says what
    to do: no network, no permission, no such repository, subset or split.
    """
    if spec.origin == "local":
        return spec.files
    with _telling(spec):
        if spec.origin == "ms":
            return _files_in(_modelscope_folder(spec, spec.patterns), spec)
        try:
            _check_name()
            return _fetch_online(spec)
        except Exception as error:
            if not _is_unreachable(error):
                raise
            unreachable = error
        files = _find_cached(spec)
        if files is None:
            raise unreachable
        return files


def fetch_one(spec: DatasetSpec, name: str) -> Path:
    """One file of the spec's repository."""
    with _telling(spec):
        if spec.origin == "ms":
            return _modelscope_folder(spec, [name]) / name
        import huggingface_hub

        options = {"repo_type": "dataset", "revision": spec.revision}
        try:
            _check_name()
        except ConnectionError as unreachable:
            found = huggingface_hub.try_to_load_from_cache(spec.repo, name, **options)
            if not isinstance(found, str):
                raise unreachable from None
            return Path(found)
        return Path(str(huggingface_hub.hf_hub_download(spec.repo, name, **options)))


def _check_name() -> None:
    """Raises ConnectionError where the hub's name leads nowhere, as on a machine without network: the hub
    library would try again for half a minute. Behind a proxy names are the proxy's business.
    """
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if host is None or getproxies():
        return
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror:
        raise ConnectionError(f"no address for {host}") from None


def _fetch_online(spec: DatasetSpec) -> tuple[Path, ...]:
    import huggingface_hub

    root = f"hf://datasets/{spec.repo}"
    addresses = _choose(_layout(root, spec), spec)
    matches = [ADDRESS.fullmatch(address) for address in addresses]
    if not matches or not all(match and kind_of(Path(match["path"])) for match in matches):
        return _convert(root, spec)
    found = [match for match in matches if match]
    # A commit is what the branch or tag stands for just now; the name is what the cache is asked for later.
    named = unquote(found[0]["revision"])
    paths = [match["path"] for match in found]
    folder = huggingface_hub.snapshot_download(
        spec.repo,
        repo_type="dataset",
        revision=spec.revision if COMMIT.fullmatch(named) else named,
        allow_patterns=[glob.escape(path) for path in paths],
    )
    return tuple(Path(folder) / path for path in paths)


def _layout(root: str | Path, spec: DatasetSpec) -> Mapping[str, Sequence[str]]:
    """Split -> files, as `datasets` sorts a repository (or a folder that is a copy of one)."""
    import datasets

    builder = datasets.load_dataset_builder(
        str(root),
        name=spec.subset,
        data_dir=spec.folder,
        data_files=list(spec.patterns) or None,
        revision=spec.revision,
    )
    return {str(split): list(files) for split, files in (builder.config.data_files or {}).items()}


def _choose(layout: Mapping[str, Sequence[str]], spec: DatasetSpec) -> list[str]:
    missing = [name for name in spec.split.names if name not in layout]
    if missing and layout:
        known = ", ".join(layout)
        raise DataError(
            f'dataset {spec.name}: {spec.repo} has no split "{missing[0]}"; it has {known}. Set split'
        )
    return [file for name in spec.split.names for file in layout.get(name, ())]


def _files_in(folder: Path, spec: DatasetSpec) -> tuple[Path, ...]:
    files = [Path(file) for file in _choose(_layout(folder, spec), spec)]
    return tuple(files) if files and all(kind_of(file) for file in files) else _convert(folder, spec)


def _convert(root: str | Path, spec: DatasetSpec) -> tuple[Path, ...]:
    """Kinds we do not read: `datasets` reads them and writes arrow files into its cache."""
    import datasets

    files: list[Path] = []
    for name in spec.split.names:
        table = datasets.load_dataset(
            str(root),
            name=spec.subset,
            data_dir=spec.folder,
            data_files=list(spec.patterns) or None,
            split=name,
            revision=spec.revision,
        )
        files.extend(Path(file["filename"]) for file in table.cache_files)
    return tuple(files)


def _find_cached(spec: DatasetSpec) -> tuple[Path, ...] | None:
    """The files from the cache alone; None when it does not hold all of them.

    An interrupted download leaves a part of a repository, from which a smaller dataset would be read without
    a word. So the layout is taken of all that the repository is known to hold, empty files for the rest.
    """
    import zipfile

    import huggingface_hub
    from huggingface_hub.errors import (
        CachedRepoTreeNotFoundError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
    )

    try:
        snapshot = huggingface_hub.snapshot_download(
            spec.repo, repo_type="dataset", revision=spec.revision, local_files_only=True
        )
    except IncompleteSnapshotError as error:
        snapshot = error.snapshot_path
    except LocalEntryNotFoundError:
        return None
    try:
        tree = huggingface_hub.get_cached_repo_tree(spec.repo, repo_type="dataset", revision=spec.revision)
    except CachedRepoTreeNotFoundError:
        return None
    folder = Path(snapshot)
    with tempfile.TemporaryDirectory() as place:
        # macOS and others reach temporary folders through a link; `datasets` resolves it.
        copy = Path(place).resolve()
        for file in tree:
            (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
            if (folder / file.path).is_file():
                (copy / file.path).symlink_to(folder / file.path)
            else:
                (copy / file.path).touch()
        try:
            names = [Path(file).relative_to(copy) for file in _choose(_layout(copy, spec), spec)]
        except zipfile.BadZipFile:
            return None
    files = [folder / name for name in names]
    whole = bool(files) and all(file.is_file() and kind_of(file) for file in files)
    return tuple(files) if whole else None


def _modelscope_folder(spec: DatasetSpec, names: Sequence[str]) -> Path:
    """A copy of the repository, or of the named files of it."""
    try:
        from modelscope.hub.snapshot_download import (  # type: ignore[import-not-found]
            dataset_snapshot_download,
        )
    except ImportError:
        raise DataError(
            f"dataset {spec.name}: ms_hub_url needs the modelscope package: pip install modelscope"
        ) from None
    choice: dict[str, str | list[str]] = {"revision": spec.revision} if spec.revision else {}
    if names:
        choice["allow_file_pattern"] = list(names)
    return Path(dataset_snapshot_download(dataset_id=spec.repo, **choice)).resolve()


@contextlib.contextmanager
def _telling(spec: DatasetSpec) -> Iterator[None]:
    """What the hub libraries raise, as one sentence with the way out."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = _explain(error, spec)
        if reason is None:
            raise
        raise DataError(f"dataset {spec.name}: {reason}") from error


def _explain(error: Exception, spec: DatasetSpec) -> str | None:
    """None for what is not the hub's doing."""
    hub = HUBS[spec.origin]
    command = f"hf download {spec.repo} --repo-type dataset"
    if spec.origin == "ms":
        command = f"modelscope download --dataset {spec.repo}"
    elif spec.revision:
        command += f" --revision {spec.revision}"
    chain = {cause for one in _causes(error) for cause in (kind.__name__ for kind in type(one).__mro__)}
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "GatedRepoError" in chain or "is a gated dataset" in first:
        return (
            f"{spec.repo} is gated on {hub}: accept its conditions on its page, then set HF_TOKEN to a token"
            " that may read it"
        )
    if "RevisionNotFoundError" in chain or first.startswith("Revision "):
        return f"{spec.repo} has no revision {spec.revision!r} on {hub}"
    if _is_unreachable(error):
        return (
            f"{spec.repo} cannot be fetched from {hub} ({first}). Check the network, or set HF_ENDPOINT to a"
            f" mirror; or fetch it where there is network ({command}) and bring the folder that HF_HOME names"
        )
    if chain & {"RepositoryNotFoundError", "DatasetNotFoundError"}:
        return (
            f"{hub} has no dataset {spec.repo}, or it is private: check the spelling, or set HF_TOKEN to a"
            " token that may read it"
        )
    if first.startswith(("BuilderConfig ", "Config name is missing")):
        return f"{spec.repo} has the wrong subset: {' '.join(str(error).split())}"
    if "scripts are no longer supported" in first:
        return f"{spec.repo} is a script, which is never run here; convert it once and register the rows"
    if chain & {"EmptyDatasetError", "DataFilesNotFoundError", "EntryNotFoundError", "FileNotFoundError"}:
        wanted = f"file {', '.join(spec.patterns)}" if spec.patterns else "data files"
        return f"{spec.repo} holds no {wanted}" + (f" in folder {spec.folder!r}" if spec.folder else "")
    if chain & {"HfHubHTTPError", "HTTPError", "DatasetsError", "HFValidationError", "OSError"}:
        return f"{spec.repo} on {hub}: {first}"
    return first if spec.origin == "ms" else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _is_unreachable(error: BaseException) -> bool:
    """No network, a hub out of order, or offline mode; not a refusal by the hub."""
    names = {kind.__name__ for one in _causes(error) for kind in type(one).__mro__}
    if names & {"GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"}:
        return False
    statuses = [getattr(getattr(one, "response", None), "status_code", 0) for one in _causes(error)]
    # The last is how `datasets` tells of a hub that answers with errors only.
    if any(status >= 500 for status in statuses) or "LocalEntryNotFoundError" in str(error):
        return True
    return bool(names & {"ConnectionError", "ConnectError", "TimeoutException", "OfflineModeIsEnabled"})
