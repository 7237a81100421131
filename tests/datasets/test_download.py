"""Downloads from a server on this machine that cuts connections, changes its files, or knows no
ranges.
"""

import contextlib
import hashlib
import http.server
import threading

import pytest
from raising import raises

from hinaug.datasets import download
from hinaug.datasets.download import download_to

DATA = bytes(range(256)) * 5000


class Server(http.server.ThreadingHTTPServer):
    content, mark, cut, ranges, status = DATA, '"one"', None, True, 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        s = self.server
        s.asked.append((self.path, self.headers.get("Range")))
        if s.status != 200:
            self.send_error(s.status)
            return
        start = 0
        if s.ranges and self.headers.get("Range") and self.headers.get("If-Range") == s.mark:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(s.content) - 1}/{len(s.content)}"
            )
        self.send_header("Content-Length", str(len(s.content) - start))
        if s.mark:
            self.send_header("ETag", s.mark)
        self.end_headers()
        end = len(s.content) if s.cut is None else start + s.cut
        with contextlib.suppress(OSError):
            self.wfile.write(s.content[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def get(server, tmp_path):
    def get(*names, **options):
        download_to(
            [f"http://127.0.0.1:{server.server_port}/data/{n}" for n in names or ["a.json.gz"]],
            tmp_path / "set",
            **options,
        )

    return get


def left(tmp_path):
    return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())


def test_whole(get, server, tmp_path):
    get("a+b.txt", "c.txt", md5={"c.txt": hashlib.md5(DATA).hexdigest()})
    assert left(tmp_path) == ["set/a b.txt", "set/c.txt"]
    assert (tmp_path / "set/c.txt").read_bytes() == DATA


def test_a_cut_download_goes_on_where_it_stopped(get, server, tmp_path):
    server.cut = 300_000
    for have in (300_000, 600_000):
        with raises(OSError, names=f"{have:,} of {len(DATA):,} bytes"):
            get()
        assert left(tmp_path) == [".part-set/a.json.gz.known", ".part-set/a.json.gz.partial"]
    server.cut = None
    get()
    assert [r for _, r in server.asked] == [None, "bytes=300000-", "bytes=600000-"]
    assert left(tmp_path) == ["set/a.json.gz"]
    assert (tmp_path / "set/a.json.gz").read_bytes() == DATA


@pytest.mark.parametrize(
    "change", ["another file", "no ranges", "no mark", "weak mark", "other address"]
)
def test_only_the_same_file_goes_on(get, server, tmp_path, change):
    server.cut = 1000
    server.mark = {"no mark": None, "weak mark": 'W/"one"'}.get(change, server.mark)
    with raises(OSError, names="1,000"):
        get()
    server.cut = None
    if change == "another file":
        server.content, server.mark = b"new" * 999, '"two"'
    elif change == "no ranges":
        server.ranges = False
    elif change == "other address":
        known = tmp_path / ".part-set/a.json.gz.known"
        known.write_text(known.read_text().replace("/data/", "/old/"))
    get()
    assert (tmp_path / "set/a.json.gz").read_bytes() == server.content
    assert left(tmp_path) == ["set/a.json.gz"]


def test_whole_files_are_not_fetched_again(get, server, tmp_path):
    real = download._fetch
    download_to_second = iter([None, OSError("gone")])

    def fetch(address, folder):
        error = next(download_to_second, None)
        if error:
            raise error
        return real(address, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_fetch", fetch)
        with pytest.raises(OSError, match="gone"):
            get("a.txt", "b.txt")
    assert left(tmp_path) == [".part-set/a.txt"]
    get("a.txt", "b.txt")
    assert [p for p, _ in server.asked] == ["/data/a.txt", "/data/b.txt"]
    assert left(tmp_path) == ["set/a.txt", "set/b.txt"]


def test_a_wrong_hash_leaves_nothing(get, server, tmp_path):
    with raises(OSError, names="a.json.gz"):
        get(md5={"a.json.gz": "12"})
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_errors_are_in_words(get, server, tmp_path, monkeypatch):
    server.status = 404
    with raises(OSError, names="404"):
        get()
    with pytest.raises(OSError, match=r"no connection \(.*refused.*\); is this computer online\?"):
        download_to(["http://127.0.0.1:9/x"], tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(download, "CONNECT", 0.01)
    monkeypatch.setattr(
        download.urllib.request, "urlopen", lambda *a, **k: threading.Event().wait(1)
    )
    with pytest.raises(OSError, match=r"no answer within .* is this computer online"):
        download_to(["http://127.0.0.1:9/x"], tmp_path / "set")


def test_two_at_once_do_not_mix(get, server, tmp_path):
    server.cut = 1000
    with raises(OSError, names=f"1,000 of {len(DATA):,} bytes"):
        get()
    server.cut = None
    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left(tmp_path) == ["set/a.json.gz"]
    assert (tmp_path / "set/a.json.gz").read_bytes() == DATA
