"""A saved model is read back whole, or refused in words."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from flowcore import FlowDensityEstimator, FlowError, load
from flowcore.errors import PersistenceError
from flowcore.persistence import CONFIG, MANIFEST, TENSORS, read_model, write_model


@pytest.fixture(scope="module")
def estimator():
    X = np.random.default_rng(0).normal(size=(60, 2))
    return FlowDensityEstimator(max_steps=5, n_blocks=1, device="cpu").fit(X)


@pytest.fixture
def folder(tmp_path, estimator):
    estimator.save(tmp_path / "model")
    return tmp_path / "model"


def resign(folder):
    """Write hashes that match, as someone who alters a model would."""
    hashes = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in (CONFIG, TENSORS)}
    (folder / MANIFEST).write_text(json.dumps({"sha256": hashes}))


def edit_config(folder, **changes):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))
    resign(folder)


def refused(folder, said):
    with pytest.raises(PersistenceError, match=said) as caught:
        load(folder)
    assert isinstance(caught.value, FlowError)
    assert str(folder.parent) not in str(caught.value)


def test_folder_holds_three_files_and_no_pickle(folder):
    assert sorted(p.name for p in folder.iterdir()) == sorted([CONFIG, MANIFEST, TENSORS])
    tensors, config = read_model(folder)
    assert config["format"] == "flowcore"
    assert all(t.device.type == "cpu" for t in tensors.values())


def test_tensors_return_bit_for_bit(tmp_path):
    sent = {"a": torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).double().T}
    write_model(tmp_path / "m", sent, {"x": [1, None, "µ"]})
    got, config = read_model(tmp_path / "m")
    assert torch.equal(got["a"], sent["a"])
    assert got["a"].dtype == torch.float64
    assert config["x"] == [1, None, "µ"]


def test_saving_twice_replaces_the_model_and_leaves_no_other_file(folder, estimator):
    estimator.save(folder)
    assert len(list(folder.iterdir())) == 3
    load(folder)


@pytest.mark.parametrize("name", [CONFIG, TENSORS])
def test_a_changed_byte_is_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, "does not match its hash")


def test_a_file_cut_short_is_found(folder):
    content = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(content[:-40])
    refused(folder, "does not match its hash")
    resign(folder)
    refused(folder, "not a safetensors file")


@pytest.mark.parametrize("name", [CONFIG, TENSORS, MANIFEST])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, name)


def test_a_missing_folder_and_a_single_file_are_refused(tmp_path):
    refused(tmp_path / "nowhere", "not a model folder")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({}))
    refused(tmp_path / "model.pkl", "pickled models are not read")


def test_a_planted_pickle_is_never_run(folder, tmp_path):
    proof = tmp_path / "proof"

    class Bomb:
        def __reduce__(self):
            return (open, (str(proof), "w"))

    (folder / TENSORS).write_bytes(pickle.dumps(Bomb()))
    resign(folder)
    refused(folder, "not a safetensors file")
    torch.save(Bomb(), folder / TENSORS)
    resign(folder)
    refused(folder, "not a safetensors file")
    assert not proof.exists()


def test_a_newer_format_and_a_foreign_one_are_refused(folder):
    edit_config(folder, format_version=999)
    refused(folder, "newer.*update rarewave")
    edit_config(folder, format_version=1, format="other")
    refused(folder, "no flowcore model")


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_damaged_json_is_refused(folder, content):
    (folder / MANIFEST).write_text(content)
    refused(folder, MANIFEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"chain": {}},
        {"parameters": {"no_such_parameter": 1}},
        {"gammas": None},
        {"gammas": ["many"]},
        {"chain": {"dim": 2, "steps": ["spell"], "fields": [], "solver": {}}},
        {"chain": {"dim": 2, "steps": [], "fields": [{"kind": "spell"}], "solver": {}}},
        {"chain": {"dim": 3, "steps": ["standardise"], "fields": [], "solver": {"method": "rk4"}}},
        {"chain": {"dim": 2, "steps": [], "fields": [], "solver": {"method": "euler"}}},
        {"chain": None},
        {"parameters": []},
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, changes):
    edit_config(folder, **changes)
    refused(folder, "fit it again")


def test_a_tensor_of_the_wrong_shape_is_refused(folder, estimator):
    tensors, config = estimator.to_state()
    tensors["chain.blocks.0.field.w1"] = torch.zeros(1, 1)
    write_model(folder, tensors, config)
    refused(folder, "fit it again")
    tensors.pop("chain.blocks.0.field.w1")
    write_model(folder, tensors, config)
    refused(folder, "fit it again")


def test_a_tensor_that_is_not_finite_is_refused(folder, estimator):
    tensors, config = estimator.to_state()
    tensors["chain.blocks.0.field.w1"] = tensors["chain.blocks.0.field.w1"] * torch.nan
    write_model(folder, tensors, config)
    refused(folder, "not finite")


def test_an_unfitted_model_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        FlowDensityEstimator().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
