"""Models on the Hub: pushed to, and loaded from, a stand-in of it on this machine."""

from __future__ import annotations

import shutil
import sys

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactNotFoundError,
    MissingExtraError,
    OptionError,
)
from affectlib.model.artifacts import load_artifact
from tests.conftest import SINGLE_MESSAGE, write_manifest
from tests.stand_in_hub import serve_hub

pytestmark = [
    pytest.mark.loopback,
    # huggingface_hub uploads large files in a way that its HTTP client no longer likes.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]

NAME = "ana/tiny-affect"


def renew_sessions():
    """Have sessions made anew: older versions settle when making one whether they are offline."""
    from huggingface_hub import utils

    if hasattr(utils, "reset_sessions"):
        utils.reset_sessions()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub without models, which huggingface_hub takes for the real one."""
    pytest.importorskip("huggingface_hub", reason="needs affectlib[hub]")
    from huggingface_hub import constants, file_download

    with serve_hub() as served:
        cache = tmp_path / "cache"
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        # Older versions keep a copy of it beside the constants.
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        for name, value in (
            ("ENDPOINT", served.address),
            ("HUGGINGFACE_CO_URL_TEMPLATE", template),
            ("HF_HUB_OFFLINE", False),
            ("HF_HUB_DISABLE_XET", True),
            ("HF_HUB_DISABLE_PROGRESS_BARS", True),
            ("HF_HUB_CACHE", str(cache)),
            ("HF_TOKEN_PATH", str(tmp_path / "no-token")),
            ("HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens")),
        ):
            # The first versions that are allowed have no Xet to switch off.
            monkeypatch.setattr(constants, name, value, raising=name != "HF_HUB_DISABLE_XET")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        renew_sessions()
        yield served


def offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    renew_sessions()


@pytest.fixture
def pushed(hub, tiny_classifier):
    """The hub with the tiny model, which everybody may read."""
    tiny_classifier.push_to_hub(NAME, private=False, token=hub.token)
    return hub


def test_what_is_pushed_is_the_artifact_in_one_commit(hub, tiny_classifier, tiny_folder):
    address = tiny_classifier.push_to_hub(NAME, private=False, message="First", token=hub.token)
    (commit,) = hub.commits[NAME]
    assert address == f"{hub.address}/{NAME}/commit/{commit}"
    assert hub.messages == ["First"]
    files = {path.name: path.read_bytes() for path in tiny_folder.iterdir()}
    assert hub.files(NAME) == files
    assert [*hub.large.values()] == [files["model.int8.onnx"]]
    assert hub.private == set()


def test_nothing_but_the_artifact_is_pushed(hub, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    for name in ("chats.json", "notes.txt", "model.pkl", "code.py"):
        (folder / name).write_text("private")
    classifier = AffectClassifier.from_pretrained(folder, device="cpu")
    classifier.push_to_hub(NAME, token=hub.token)
    assert {*hub.files(NAME)} == {path.name for path in tiny_folder.iterdir()}


def test_repository_is_private_unless_asked_for_and_may_be_there(hub, tiny_classifier):
    for _ in range(2):
        tiny_classifier.push_to_hub(NAME, token=hub.token)
    assert hub.private == {NAME}


def test_pushed_model_can_be_loaded_and_gives_the_same(pushed, tiny_classifier):
    loaded = AffectClassifier.from_pretrained(NAME, device="cpu", local_files_only=False)
    assert loaded.artifact.fingerprint == tiny_classifier.artifact.fingerprint
    assert loaded.predict(SINGLE_MESSAGE) == tiny_classifier.predict(SINGLE_MESSAGE)


def test_what_was_downloaded_is_found_without_the_network(pushed, monkeypatch):
    with pytest.raises(ArtifactNotFoundError, match="downloaded before"):
        load_artifact(NAME)
    downloaded = load_artifact(NAME, local_files_only=False)
    before = [*pushed.requests]
    assert load_artifact(NAME) == downloaded
    offline(monkeypatch)
    assert load_artifact(NAME, local_files_only=False) == downloaded
    assert pushed.requests == before


def test_hf_hub_offline_keeps_off_the_network(pushed, tiny_classifier, monkeypatch):
    offline(monkeypatch)
    before = [*pushed.requests]
    with pytest.raises(ArtifactNotFoundError, match="HF_HUB_OFFLINE"):
        load_artifact(NAME, local_files_only=False)
    with pytest.raises(ArtifactError, match="HF_HUB_OFFLINE"):
        tiny_classifier.push_to_hub(NAME, token=pushed.token)
    assert pushed.requests == before


def test_default_asks_the_hub_nothing(pushed):
    before = [*pushed.requests]
    with pytest.raises(ArtifactNotFoundError, match="local_files_only=False"):
        AffectClassifier.from_pretrained("ana/other")
    assert pushed.requests == before


def test_revision_is_a_branch_or_commit(pushed, tiny_folder, tmp_path):
    (first,) = pushed.commits[NAME]
    folder = write_manifest(shutil.copytree(tiny_folder, tmp_path / "new"), version="0.0.2")
    AffectClassifier.from_pretrained(folder, device="cpu").push_to_hub(NAME, token=pushed.token)
    versions = [
        load_artifact(NAME, local_files_only=False, revision=revision).version
        for revision in (None, "main", first)
    ]
    assert versions == ["0.0.2", "0.0.2", "0.0.1"]
    assert load_artifact(NAME, revision=first).version == "0.0.1"
    with pytest.raises(ArtifactNotFoundError, match="revision"):
        load_artifact(NAME, local_files_only=False, revision="v9")
    with pytest.raises(OptionError, match="revision"):
        load_artifact(folder, revision=first)


def test_code_and_pickles_on_the_hub_are_not_downloaded(pushed):
    pushed.files(NAME).update({"run.py": b"evil", "pytorch_model.bin": b"evil", "x.pkl": b"evil"})
    folder = load_artifact(NAME, local_files_only=False).folder
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".onnx", ".md", ".safetensors"}
    assert not any("run.py" in path or ".bin" in path for _, path in pushed.requests)


def test_model_damaged_on_the_hub_is_refused(pushed):
    files = pushed.files(NAME)
    files["tokenizer.json"] = files["tokenizer.json"] + b" "
    with pytest.raises(ArtifactCorruptError, match=r"tokenizer\.json"):
        AffectClassifier.from_pretrained(NAME, device="cpu", local_files_only=False)


def test_what_is_not_there_or_private_names_the_remedy(pushed):
    for name in ("ana/none", "bob/private"):
        with pytest.raises(ArtifactNotFoundError, match=r"check the id.*HF_TOKEN"):
            load_artifact(name, local_files_only=False)


def test_token_of_the_environment_is_used(hub, tiny_classifier, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    tiny_classifier.push_to_hub(NAME)
    assert load_artifact(NAME, local_files_only=False).name == "tiny"
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(ArtifactError, match="HF_TOKEN may write"):
        tiny_classifier.push_to_hub(NAME)


def test_token_is_in_no_message(hub, tiny_classifier):
    with pytest.raises(ArtifactError) as caught:
        tiny_classifier.push_to_hub(NAME, token="hf_hush")
    assert "hf_hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "../x", "ana/", "https://x/y"])
def test_what_is_no_id_is_refused_before_anything_is_sent(hub, tiny_classifier, name):
    with pytest.raises(OptionError, match="user/name"):
        tiny_classifier.push_to_hub(name, token=hub.token)
    with pytest.raises(ArtifactNotFoundError):
        load_artifact(name, local_files_only=False)
    assert hub.requests == []


def test_damaged_model_is_not_pushed(hub, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    classifier = AffectClassifier.from_pretrained(folder, device="cpu")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactCorruptError, match=r"tokenizer\.json"):
        classifier.push_to_hub(NAME, token=hub.token)
    assert hub.requests == []


def test_without_the_package_the_extra_is_named(tiny_classifier, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"affectlib\[hub\]"):
        load_artifact(NAME, local_files_only=False)
    with pytest.raises(MissingExtraError, match=r"affectlib\[hub\]"):
        tiny_classifier.push_to_hub(NAME)
    with pytest.raises(ArtifactNotFoundError, match="downloaded before"):
        load_artifact(NAME)
