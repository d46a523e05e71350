"""Recordings at addresses: a real HTTP server that speaks S3, and the same tables as from a disk."""

import tempfile
from pathlib import Path

import pytest

from pipelines.batch import score_run
from pipelines.cli import main
from pipelines.errors import InputError
from pipelines.inputs import resolve_inputs
from pipelines.readers import read_recording
from pipelines.remote.access import Remote
from pipelines.remote.address import checked_url, is_url, path_for, url_of
from pipelines.run_folder import RunFolder

SAMPLES = Path(__file__).parents[2] / "sample_data"
SECRET = "planted-secret-4711"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A bucket ``ward`` of a server in this process; the environment says where it is."""
    server = pytest.importorskip("moto.server", reason="moto is missing: pip install 'moto[s3]'")
    pytest.importorskip("flask_cors", reason="flask-cors is missing: pip install flask flask-cors")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is missing: pip install 'rarewave[s3]'")
    with pytest.MonkeyPatch.context() as patch:
        served = server.ThreadedMotoServer(port=0, verbose=False)
        served.start()
        host, port = served.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "planted-key-id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        folder = tmp_path_factory.mktemp("fetched")
        patch.setattr(tempfile, "tempdir", str(folder))
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem(use_listings_cache=False)
        system.mkdir("ward")
        yield system
        served.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def put(system, files, under):
    for file in files:
        system.put_file(str(file), f"ward/{under}/{file.name}")


def left_behind():
    return list(Path(tempfile.gettempdir()).glob("rarewave-fetched-*"))


def everything_written(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_an_address_and_what_is_a_path():
    assert is_url("s3://b/k.edf") and is_url(Path("s3://b/k.edf")) and is_url("https://h/x.edf")
    assert not any(map(is_url, ("night.edf", "/a:b/c.edf", "C:/x.edf", "a/b://c", "x:y.edf")))
    assert checked_url(Path("s3://b/k.edf")) == "s3://b/k.edf"
    assert url_of(path_for("s3://b/sub/k.edf")) == "s3://b/sub/k.edf"


@pytest.mark.parametrize(
    "url",
    [
        f"https://kim:{SECRET}@host/x.edf",
        f"https://host/x.edf?X-Amz-Signature={SECRET}",
        f"s3://{SECRET}@b/x.edf",
        f"https://host/x.edf#{SECRET}",
        f"zip://x.edf::s3://{SECRET}/a.zip",
        f"s3://b/../{SECRET}.edf",
        f"s3://b//{SECRET}.edf",
    ],
)
def test_an_address_that_tells_a_secret_is_refused_without_telling_it(url, tmp_path, capsys):
    with pytest.raises(InputError) as refused:
        checked_url(url)
    assert SECRET not in str(refused.value)
    assert main(["info", url]) == 1
    (entry, _) = resolve_inputs([url, SAMPLES / "eeg_absence_480s.edf"])
    assert SECRET not in repr(entry) + capsys.readouterr().err


def test_results_are_not_written_to_an_address_and_unknown_protocols_are_refused(tmp_path, capsys):
    source = str(SAMPLES / "eeg_absence_480s.edf")
    assert main(["fit", source, "--kind", "eeg", "--out", "s3://ward/model"]) == 1
    assert main(["score", str(tmp_path), source, "--out", "s3://ward/run"]) == 1
    assert capsys.readouterr().err.count("--out is an address") == 2
    with pytest.raises(InputError, match="gopher:// is no kind of address"):
        resolve_inputs(["gopher://host/x.edf"])


@pytest.fixture(scope="module")
def ward(s3, tmp_path_factory, write_eeg):
    """The same recordings in a folder and in the bucket, with a manifest of both."""
    folder = tmp_path_factory.mktemp("ward")
    write_eeg(folder / "a.edf", 40, seed=1, event=20)
    write_eeg(folder / "b.edf", 40, seed=2)
    put(s3, [folder / "a.edf", folder / "b.edf"], "night")
    return folder


def test_tables_are_those_of_the_disk_and_what_has_not_changed_is_not_fetched(
    s3, ward, tmp_path, tiny_model, monkeypatch, capsys
):
    local = score_run(tiny_model, [ward], tmp_path / "local", device="cpu")
    words = ["score", str(tiny_model), "s3://ward/night", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "far")]) == 0
    said = capsys.readouterr()
    for name in local.done:
        for table in ("windows", "segments", "features"):
            one, two = (
                tmp_path / r / f"recordings/{name}/{table}.parquet" for r in ("local", "far")
            )
            assert one.read_bytes() == two.read_bytes()
    run = RunFolder.open(tmp_path / "far")
    assert [entry["path"] for entry in run.manifest()["inputs"]] == [
        f"s3://ward/night/{name}.edf" for name in ("a", "b")
    ]
    assert run.open_source("a").channels == read_recording(ward / "a.edf").channels
    assert left_behind() == []
    text = everything_written(tmp_path / "far").decode("latin-1") + said.out + said.err
    assert SECRET not in text and "planted-key-id" not in text and "rarewave-fetched" not in text

    s3.pipe_file("ward/night/b.edf", (ward / "a.edf").read_bytes())  # b is another one now
    fetched = []
    copy = Remote.copy
    monkeypatch.setattr(
        Remote, "copy", lambda self, file, path: (fetched.append(path.name), copy(self, file, path))
    )
    again = score_run(tiny_model, ["s3://ward/night/*.edf"], tmp_path / "far", device="cpu")
    assert (again.skipped, again.done, fetched) == (("a",), ("b",), ["b.edf"])
