"""Covers deploy/predict/frames.py, deploy/predict/remote.py, deploy/predict/video.py.

What words on the command line stand for, and what is said of media that can't be read.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from pocketvision.core.errors import InputError
from pocketvision.deploy.predict.frames import SourceFrame, count_frames, read_frames
from pocketvision.deploy.predict.sources import Source, find_sources
from pocketvision.deploy.predict.video import VideoFile, silence

PASSWORD = f"Basic {base64.b64encode(b'me:s@fe').decode()}"
PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8), (72, 48))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with equal names, a video, a truncated picture, and what is no medium."""
    root = tmp_path_factory.mktemp("media")
    for name in ("a/1.jpg", "b/1.jpg", "b/2.PNG"):
        (root / name).parent.mkdir(exist_ok=True)
        PillowImage.fromarray(PICTURE).save(root / name)
    (root / "a" / "notes.txt").write_text("none")
    (root / "a" / ".hidden.jpg").write_bytes(b"")
    with VideoFile(root / "b", "clip", 10.0, (48, 72)) as video:
        for index in range(7):
            video.add(np.roll(PICTURE, index, axis=1))
    data = (root / "a" / "1.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(data[: len(data) // 2])
    (root / "text.jpg").write_bytes(b"not a picture at all")
    (root / "empty.png").write_bytes(b"")
    (root / "broken.mp4").write_bytes(b"\0" * 400)
    return root


def names(sources: list[Source], root: Path) -> list[str]:
    return [str(Path(source.name).relative_to(root)) for source in sources]


def read(*sources: Source, max_frames: int | None = None) -> tuple[list[SourceFrame], list[str]]:
    failures: list[str] = []
    return list(read_frames(sources, failures.append, max_frames)), failures


def test_folders_patterns_and_files(media: Path) -> None:
    assert names(find_sources([str(media / "b")]), media) == ["b/1.jpg", "b/2.PNG", "b/clip.mp4"]
    assert names(find_sources([f"{media}/?/1.*"]), media) == ["a/1.jpg", "b/1.jpg"]
    both = find_sources([f"{media}/a/1.jpg", f"{media}/**/1.jpg"])
    assert names(both, media) == ["a/1.jpg", "b/1.jpg"], "nothing twice"
    again = find_sources([f"{media}/a/1.jpg", os.path.relpath(media / "a" / "1.jpg")])
    assert names(again, media) == ["a/1.jpg"], "by whichever path"
    assert [source.kind for source in find_sources([f"{media}/b/clip.mp4", f"{media}/a"])] == [
        "video",
        "image",
    ]
    below = find_sources([str(media)], output=media / "b")
    assert not [name for name in names(below, media) if name.startswith("b/")], "its own output"


def test_cameras_and_addresses() -> None:
    url = "rtsp://me:secret@cam.local:554/front"
    camera, stream, image = find_sources(["0", url, "https://x.org/a/b.jpg?size=1"])
    assert camera.kind == stream.kind == "stream" and camera.stem == "camera_0"
    assert stream.name == url and stream.public_name == "rtsp://cam.local:554/front"
    assert stream.stem == "cam.local_front" and stream.path is None
    assert image.kind == "image" and image.path is None and image.stem == "x.org_b"


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("no/such.jpg", "There is no image, video or folder no/such.jpg"),
        ("no/*.jpg", "No image or video matches no/"),
        ("{empty}", "holds no images or videos"),
        ("{output}", "is the folder of the images"),
    ],
)
def test_what_is_not_there(argument: str, sentence: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for folder in (output, tmp_path / "empty"):
        folder.mkdir()
    argument = argument.format(empty=tmp_path / "empty", output=output)
    with pytest.raises(InputError, match=sentence):
        find_sources([argument], output)


def test_stdin(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(data: bytes) -> list[Source]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        return find_sources(["-"])

    (source,) = pipe((media / "b" / "2.PNG").read_bytes())
    (frame,), failures = read(source)
    assert source.stem == "stdin" and not failures
    np.testing.assert_array_equal(frame.image, PICTURE)
    listed = pipe(f"{media}/a/1.jpg\n\n{media}/b\n".encode())
    assert names(listed, media) == ["a/1.jpg", "b/1.jpg", "b/2.PNG", "b/clip.mp4"]
    with pytest.raises(InputError, match="Nothing came through stdin"):
        pipe(b"\n")


def test_videos_give_numbered_frames(media: Path) -> None:
    source = find_sources([f"{media}/b/clip.mp4"])[0]
    frames, failures = read(source)
    assert [frame.number for frame in frames] == list(range(7)) and not failures
    assert all(frame.rate == pytest.approx(10) and frame.image.shape == (48, 72, 3) for frame in frames)
    assert np.abs(frames[0].image.astype(int) - PICTURE).mean() < 12, "RGB, not BGR"
    assert [frame.number for frame in read(source, max_frames=3)[0]] == [0, 1, 2]
    sources = find_sources([str(media / "b")])
    assert count_frames(sources) == 9 and count_frames(sources, 3) == 5
    assert count_frames([*sources, Source("stream", "0")]) is None
    assert count_frames([Source("stream", "0")], 4) == 4


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cut.jpg", "is truncated or broken"),
        ("text.jpg", "cannot be read as an image"),
        ("empty.png", "is empty"),
        ("gone.jpg", "there is no such file"),
        ("broken.mp4", "can't be opened: replace the file"),
    ],
)
def test_broken_media_are_named_and_skipped(name: str, sentence: str, media: Path) -> None:
    good = Source("image", str(media / "a" / "1.jpg"))
    kind = "video" if name.endswith("mp4") else "image"
    frames, failures = read(Source(kind, str(media / name)), good)
    assert [frame.source for frame in frames] == [good]
    assert len(failures) == 1 and sentence in failures[0] and str(media / name) in failures[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("97", "Camera 97 can't be opened: connect it"),
        ("http://127.0.0.1:9/live", "http://127.0.0.1:9/live can't be opened: check the address"),
        ("http://me:secret@127.0.0.1:9/a.jpg", "http://127.0.0.1:9/a.jpg can't be fetched"),
    ],
)
def test_cameras_and_addresses_that_are_not_there(
    name: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    frames, failures = read(*find_sources([name]))
    assert not frames and len(failures) == 1 and sentence in failures[0]
    said = capfd.readouterr()
    assert not said.out + said.err, "OpenCV and FFmpeg keep quiet"


def send_jpegs(handler: SimpleHTTPRequestHandler) -> None:
    """What a network camera sends that falls silent after forty frames."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    data = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    for _ in range(40):
        handler.wfile.write(
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n"
        )
    handler.wfile.flush()
    time.sleep(2.5)


@pytest.fixture
def server(media: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/camera":
                send_jpegs(self)
            elif self.path == "/private.png" and self.headers["Authorization"] == PASSWORD:
                self.path = "/b/2.PNG"
                super().do_GET()
            else:
                super().do_GET()

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(media))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_pictures_and_videos_from_a_server(server: str) -> None:
    picture, video, missing = find_sources([f"{server}/b/2.PNG", f"{server}/b/clip.mp4", f"{server}/no.png"])
    frames, failures = read(picture, video, missing)
    assert len(frames) == 8 and [frame.source for frame in frames[:2]] == [picture, video]
    np.testing.assert_array_equal(frames[0].image, PICTURE)
    assert len(failures) == 1 and "no.png can't be fetched (File not found)" in failures[0]


def test_a_stream_that_falls_silent_is_named(
    server: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pocketvision.deploy.predict.video._TIMEOUT_MS", 1000)
    frames, failures = read(*find_sources([f"{server}/camera"]))
    assert len(frames) > 30 and len(failures) == 1
    assert "/camera stopped sending: check the address and the network" in failures[0]
    said = capfd.readouterr()
    assert not said.out + said.err, "OpenCV and FFmpeg keep quiet"


def test_a_long_video_from_a_server_that_can_not_jump(server: str, media: Path) -> None:
    """An mp4 file has its table of contents at the end; Python's own server sends files from their start."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with VideoFile(media, "long", 10.0, (240, 320)) as video:
        for index in range(60):
            video.add(np.roll(noise, index, axis=1))
    assert video.path.stat().st_size > 1_000_000
    frames, failures = read(*find_sources([f"{server}/{video.path.name}"]))
    assert len(frames) == 60 and not failures


def test_name_and_password_of_an_address_are_sent(server: str) -> None:
    address = f"{server.replace('//', '//me:s%40fe@')}/private.png"
    (frame,), failures = read(*find_sources([address]))
    np.testing.assert_array_equal(frame.image, PICTURE)
    assert not failures
    frames, failures = read(*find_sources([address.replace("s%40fe", "wrong")]))
    assert not frames and "private.png can't be fetched" in failures[0] and "wrong" not in failures[0]


@pytest.mark.parametrize("address", ["http://[::1", "rtsp://[x/a", "https://[::1/a.jpg", "http:///a.jpg"])
def test_what_only_begins_like_an_address(address: str) -> None:
    with pytest.raises(InputError, match="is no address that can be read"):
        find_sources([address])


def test_what_a_folder_holds_besides_is_counted(media: Path, caplog: pytest.LogCaptureFixture) -> None:
    find_sources([str(media / "a")])
    assert caplog.messages == [
        f"{media / 'a'}: 1 file is left out, as neither image nor video that is known: 1 .txt."
    ]
    caplog.clear()
    for name in ("x.HEIC", "y.heic", "z.xyz", "none"):
        (media / "a" / name).write_bytes(b"?")
    find_sources([f"{media}/a/*"])
    (line,) = caplog.messages
    assert ("5 files are left out" in line and "2 .heic, 1 .txt" in line) or "2 .heic, 1 no suffix" in line
    assert "Convert HEIC pictures to JPEG" in line
    (media / "heic").mkdir()
    (media / "heic" / "x.heic").write_bytes(b"?")
    with pytest.raises(InputError, match=r"holds no images or videos \(1 \.heic files\)"):
        find_sources([str(media / "heic")])
    for name in ("x.HEIC", "y.heic", "z.xyz", "none"):
        (media / "a" / name).unlink()


def test_names_are_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    name = "a\nskipped: b\x1b[31m " + os.fsdecode(b"caf\xe9") + " 街 é.png"
    PillowImage.fromarray(PICTURE).save(tmp_path / name)
    (source,) = find_sources([str(tmp_path)])
    (frame,), failures = read(source)
    assert frame.image.shape == PICTURE.shape and not failures
    assert source.public_name == f"{tmp_path}/a\\x0askipped: b\\x1b[31m caf\\xe9 街 é.png"
    (tmp_path / name).write_bytes(b"no picture")
    _, (sentence,) = read(source)
    assert sentence == f"{source.public_name} cannot be read as an image: replace the file, or remove it."


def test_a_video_that_was_cut_off_is_told(tmp_path: Path) -> None:
    """OpenCV just stops."""
    path = tmp_path / "cut.avi"
    with silence():  # FFmpeg reads how loud to be once, when it is first used
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (72, 48))
    for index in range(12):
        writer.write(np.roll(PICTURE, index, axis=1))
    writer.release()
    data = path.read_bytes()
    frames, failures = read(Source("video", str(path)))
    assert len(frames) == 12 and not failures
    path.write_bytes(data[: len(data) * 2 // 3])
    frames, failures = read(Source("video", str(path)))
    assert 5 <= len(frames) <= 10
    assert f"cut.avi ends after {len(frames)} of the 12 frames that it states" in failures[0]
    assert not read(Source("video", str(path)), max_frames=3)[1], "nobody asked for more"
