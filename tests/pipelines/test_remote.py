"""Recordings at addresses: a real HTTP server that speaks S3, and the same tables as from a disk."""

import shutil
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pipelines.batch import score_run
from pipelines.cli import main
from pipelines.errors import InputError, RarewaveError, RecordingError
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


def same_signal(one, other):
    assert one.annotations == other.annotations and one.pieces == other.pieces
    assert [path.name for path in one.files] == [path.name for path in other.files]
    for channel in other.channels:
        for piece in other.pieces:
            a, b = (r.read([channel.name], piece) for r in (one, other))
            np.testing.assert_array_equal(a, b)


def test_side_files_come_along_by_the_names_that_headers_give(s3, tmp_path):
    """WFDB names its signal and has annotations beside it; BrainVision calls its files as it likes."""
    wfdb = sorted(SAMPLES.glob("ecg_ahadb_0201.*"))
    put(s3, wfdb, "ecg")
    same_signal(
        read_recording("s3://ward/ecg/ecg_ahadb_0201.hea"),
        read_recording(SAMPLES / "ecg_ahadb_0201.hea"),
    )
    (tmp_path / "x.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=other.eeg\n"
        "MarkerFile=third.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=1\nSamplingInterval=4000\n[Binary Infos]\nBinaryFormat=INT_16\n"
        "[Channel Infos]\nCh1=Fp1,,0.5,µV\n",
        "utf-8",
    )
    (tmp_path / "third.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=other.eeg\n"
        "[Marker Infos]\nMk1=Stimulus,S  1,5,1,0\n"
    )
    np.arange(500, dtype="<i2").tofile(tmp_path / "other.eeg")
    put(s3, [tmp_path / name for name in ("x.vhdr", "third.vmrk", "other.eeg")], "bv")
    same_signal(read_recording("s3://ward/bv/x.vhdr"), read_recording(tmp_path / "x.vhdr"))
    s3.rm_file("ward/bv/other.eeg")
    with pytest.raises(RecordingError, match=r"names the data file other\.eeg, which is not there"):
        read_recording("s3://ward/bv/x.vhdr")
    assert left_behind() == []


def test_a_data_set_and_a_manifest_list_what_they_list_on_a_disk(s3, tmp_path, write_eeg):
    root = tmp_path / "ds"
    write_eeg(root / "sub-01/eeg/sub-01_task-rest_eeg.edf", 4)
    write_eeg(root / "derivatives/sub-01/eeg/sub-01_task-rest_eeg.edf", 4)
    (root / "dataset_description.json").write_text("{}")
    (root / "task-rest_channels.tsv").write_text("name\ttype\nEEG Fp1\tEOG\n")
    (root / "sub-01/sub-01_task-rest_channels.tsv").write_text("name\ttype\nEEG Fp1\tEMG\n")
    (root / "flat.csv").write_text("II\n1\n2\n")
    (root / "list.csv").write_text(
        "path,recording_id,patient_id,sfreq,units\nflat.csv,r,p,500,mV\n"
    )
    s3.put(f"{root}/", "ward/ds/", recursive=True)
    (here,), (there,) = resolve_inputs([root]), resolve_inputs(["s3://ward/ds"])
    assert (here.recording_id, here.patient_id) == (there.recording_id, there.patient_id)
    assert there.recording_id == "sub-01_task-rest"
    same_signal(there.open(), here.open())
    assert there.open().channels[0].kind == "emg"
    (there,) = resolve_inputs(["s3://ward/ds/list.csv"])
    assert (there.recording_id, there.patient_id) == ("r", "p")
    assert there.open().channels[0].sfreq == 500.0
    (tmp_path / "far.csv").write_text("path,recording_id\ns3://ward/ds/gone.edf,x\n")
    (gone,) = resolve_inputs([tmp_path / "far.csv"])
    with pytest.raises(RecordingError, match=r"there is no s3://\.\.\./gone\.edf"):
        gone.open()
    with pytest.raises(InputError, match="no recording matches"):
        resolve_inputs(["s3://ward/ds/*.bdf"])
    with pytest.raises(RarewaveError, match=r"there is no s3://\.\.\./none\.edf"):
        resolve_inputs(["s3://nobucket/none.edf"])


@pytest.fixture
def web():
    """A server that answers with what it is told, and then with the sample."""
    pytest.importorskip("aiohttp", reason="aiohttp is missing: pip install 'fsspec[http]'")
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status = answers.pop(0) if answers else 200
            content = (SAMPLES / "eeg_absence_480s.edf").read_bytes() if status == 200 else b""
            self.send_response(status, f"quoting {SECRET}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield answers, f"http://127.0.0.1:{server.server_port}/eeg_absence_480s.edf"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_passes_is_tried_again_and_what_does_not_is_told_without_its_text(web, monkeypatch):
    answers, url = web
    monkeypatch.setattr("pipelines.retry.PAUSES_S", (0.0, 0.0, 0.0))
    remote = Remote(url)
    answers[:] = [503, 503]
    whole = (SAMPLES / "eeg_absence_480s.edf").stat().st_size
    assert len(remote.start(url, whole)) == whole and answers == []
    for status, words, tries in ((503, "the connection failed", 4), (403, "access is refused", 1)):
        answers[:] = [status] * 5
        with pytest.raises(RecordingError, match=words) as failed:
            remote.start(url, whole)
        assert len(answers) == 5 - tries
        assert SECRET not in str(failed.value) + repr(failed.value.__cause__)


def test_no_more_is_fetched_than_there_is_room_for_and_leftovers_go(s3, ward, monkeypatch):
    with monkeypatch.context() as patch:
        usage = type(shutil.disk_usage("/"))(10**9, 10**9, 2**26 + 1000)
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(RecordingError, match=r"there is room for 0\.00; set TMPDIR"):
            read_recording("s3://ward/night/a.edf")
    assert left_behind() == []
    dead = Path(tempfile.mkdtemp(prefix="rarewave-fetched-"))
    (dead / ".lock").touch()
    recording = read_recording("s3://ward/night/a.edf")
    [kept] = left_behind()
    assert kept != dead and kept in recording.path.parents
    other = read_recording("s3://ward/night/a.edf")  # the first is in use and stays
    assert len(left_behind()) == 2 and recording.path.is_file()
    del recording, other
    assert left_behind() == []
