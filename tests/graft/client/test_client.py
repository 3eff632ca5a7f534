"""Both clients against the real application behind a real listener."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from graft.client import ApiError, AsyncClient, Client, Dataset, Event, Progress, Unreachable
from graft.client.flows import LOOK_AGAIN
from graft.client.session import PAUSES, Session
from graft.client.wires import BlockingWire, options
from graft.errors import InvalidInput
from tests.drawing import folder, jpeg, write
from tests.graft.serving import Service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write(tmp_path, {"0.jpg": jpeg("discs", 0)}) / "0.jpg"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("client") / "shapes", folder(6))


def test_from_a_folder_to_a_prediction(service: Service, client: Client, pictures: Path, picture: Path) -> None:
    uploaded = client.upload(pictures, test_split=0.2)
    assert (uploaded.name, uploaded.state) == ("shapes", "validating")
    service.validate()
    dataset = client.wait_dataset(uploaded)
    assert dataset.classes == ["discs", "stripes", "triangles"]
    assert dataset.counts is not None
    assert sum(dataset.counts["test"].values()) == 3
    job = client.train(dataset, "client-shapes", {"preset": "fine-tuning", "epochs": 5}, metadata={"mine": 1})
    assert (job.dataset, job.revision, job.metadata) == (dataset.id, dataset.revision, {"mine": 1})
    assert client.cancel(job).state == "cancelled"
    assert client.wait(job).finished
    plan = client.plan(dataset, {"time_budget": 600})
    assert (plan.kind, plan.revision, plan.recipe) == ("plan", dataset.revision, {"preset": "auto", "time_budget": 600})
    assert client.cancel(client.plan(dataset)).recipe == {"preset": "auto"}
    assert client.cancel(plan).result is None
    assert [each.id for each in client.jobs(model="client-shapes")] == [job.id]
    version = service.publish("client-shapes")
    assert client.model("client-shapes").aliases == {"stable": version}
    answer = client.predict("client-shapes", [picture, jpeg("stripes", 1)], top=2)
    assert (answer.model, answer.version) == ("client-shapes", version)
    assert [entry.filename for entry in answer.predictions] == ["0.jpg", "picture"]
    assert [len(entry.top) for entry in answer.predictions] == [2, 2]
    assert client.report("client-shapes", version)["test"] == {"accuracy": 0.9}
    assert client.set_alias("client-shapes", "canary", version).aliases["canary"] == version
    assert client.predict("client-shapes", [jpeg("discs", 0)], alias="canary").version == version
    client.delete_alias("client-shapes", "canary")
    assert client.model("client-shapes").aliases == {"stable": version}
    client.delete_model("client-shapes")
    client.delete_dataset(dataset)
    with pytest.raises(ApiError) as error:
        client.dataset(dataset)
    assert (error.value.status, error.value.type) == (404, "urn:graft:error:not-found")


def test_a_dataset_is_filled_by_several_calls_and_sealed(service: Service, client: Client, tmp_path: Path) -> None:
    dataset = client.open_dataset("filled", validation_split=0.5)
    assert dataset.state == "open"
    for label in ("discs", "stripes"):
        source = write(tmp_path / label, {f"{label}/{seed}.jpg": jpeg(label, seed) for seed in range(4)})
        dataset = client.add_files(dataset, source)
    assert dataset.files == 8
    assert client.commit(dataset).state == "validating"
    service.validate()
    ready = client.wait_dataset(dataset)
    assert ready.counts is not None
    assert ready.counts["train"] == ready.counts["validation"] == {"discs": 2, "stripes": 2}
    assert [each.id for each in client.datasets(state="ready", name="filled")] == [dataset.id]


def test_one_call_uploads_and_trains(service: Service, client: Client, pictures: Path) -> None:
    job = client.fine_tune("client-once", pictures, {"epochs": 3, "hidden_units": [32]}, test_split=0.2)
    assert job.recipe is not None
    assert (job.model, job.recipe["epochs"], job.recipe["hidden_units"]) == ("client-once", 3, [32])
    assert job.dataset is not None
    assert client.dataset(job.dataset).name == "shapes"
    service.validate()
    assert client.cancel(job).revision == client.dataset(job.dataset).revision


class Hasty(BlockingWire):
    """Waits for nothing, and keeps how long it should have waited."""

    pauses: list[float]

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class HastyClient(Client):
    def __init__(self, url: str, transport: httpx.BaseTransport, *, patience: float = 10.0) -> None:
        wire = Hasty(httpx.Client(**options(url, None), transport=transport))
        self.pauses = wire.pauses = []
        self.session = Session(wire, patience=patience)


class Lossy(httpx.HTTPTransport):
    """Loses the answer to every first try, when the service has done what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and self.lost % 2 == 0:
            self.lost += 1
            answer.close()
            raise httpx.ReadError("lost", request=request)
        self.lost += request.method == "POST"
        return answer


def test_what_is_created_is_created_once_though_every_first_answer_is_lost(
    service: Service, client: Client, pictures: Path
) -> None:
    transport = Lossy()
    with HastyClient(service.url, transport) as unlucky:
        dataset = unlucky.upload(pictures, name="once")
        service.validate()
        job = unlucky.train(dataset, "once")
        other = unlucky.fine_tune("once-more", pictures, name="once more")
        opened = unlucky.open_dataset("once open")
        assert unlucky.add_files(opened, pictures).files == 18
    assert transport.lost == 10
    assert unlucky.pauses == [PAUSES[0]] * 5
    assert [each.id for name in ("once", "once open") for each in client.datasets(name=name)] == [dataset.id, opened.id]
    assert [each.id for each in client.datasets(name="once more")] == [other.dataset]
    assert [each.id for name in ("once", "once-more") for each in client.jobs(model=name)] == [job.id, other.id]
    service.validate()
    for each in (job, other):
        client.cancel(each)


def test_pictures_are_asked_of_many_models_and_turned_into_features(
    service: Service, client: Client, picture: Path
) -> None:
    service.publish("one-of-many")
    found = client.predict_many(["vgg16", "one-of-many"], [picture, jpeg("stripes", 1)], top=1)
    assert [(result.model, len(result.predictions)) for result in found.results] == [("vgg16", 2), ("one-of-many", 2)]
    assert client.embed(picture).shape == [1, 512]
    features = client.embed([picture, jpeg("stripes", 1)], layer="block4_pool", pooling="max")
    assert (features.layer, features.pooling, features.shape) == ("block4_pool", "max", [2, 512])
    assert [len(each.embedding) for each in features.embeddings] == [512, 512]


def test_more_pictures_than_a_request_takes_are_asked_of_one_version(client: Client) -> None:
    picture = jpeg("discs", 0)
    answer = client.predict("vgg16", (picture for _ in range(70)), top=1)
    assert len(answer.predictions) == 70
    assert {entry.top[0].wnid for entry in answer.predictions} <= {"n1", "n2", "n3"}
    features = client.embed(picture for _ in range(33))
    assert (features.shape, len(features.embeddings)) == ([33, 512], 33)


def test_a_single_picture_needs_no_list(client: Client, picture: Path) -> None:
    for one in (picture, str(picture), picture.read_bytes()):
        assert len(client.predict("vgg16", one).predictions) == 1


def test_a_caller_says_after_how_long_a_request_is_given_up(service: Service, client: Client, picture: Path) -> None:
    service.predictor.timeouts.clear()
    client.predict("vgg16", picture, timeout=2)
    client.predict_many(["vgg16"], picture, timeout=0.00001)
    client.embed(picture, timeout=1e3)
    client.embed(picture)
    assert service.predictor.timeouts[::2] == [2.0, 0.00001, 1000.0, None]
    with pytest.raises(ApiError, match=r"X-Request-Timeout must be seconds above 0 in decimals; received '-1'\."):
        client.predict("vgg16", picture, timeout=-1)


def test_lists_go_on_from_page_to_page(service: Service, client: Client) -> None:
    jobs = service.services.jobs
    made = [jobs.create("train", model="paged").id for _ in range(53)]
    found = list(client.jobs(model="paged"))
    assert sorted(job.id for job in found) == sorted(made)
    assert [job.created_at for job in found] == sorted((job.created_at for job in found), reverse=True)
    assert "vgg16" in [model.name for model in client.models()]
    for job in made:
        jobs.cancel(job)


def test_a_job_is_watched_while_it_goes_on(service: Service, client: Client) -> None:
    jobs = service.services.jobs
    job = jobs.create("train", model="watched", priority=9)
    seen = []
    for news in client.watch(job.id):
        seen.append(news)
        if isinstance(news, Event) and news.type == "queued":
            running = jobs.claim("training", "test")
            assert running is not None
            assert running.id == job.id
            jobs.progress(job.id, running.fence, {"phase": "training", "epoch": 1, "epochs": 2})
        elif isinstance(news, Progress) and news.epoch == 1:
            jobs.event(job.id, 1, "epoch", {"epoch": 1, "loss": 0.5})
            jobs.succeed(job.id, 1)
    types = [each.type for each in seen if isinstance(each, Event)]
    assert types[0] == "queued"
    assert types[-2:] == ["epoch", "succeeded"]
    assert client.wait(job.id).state == "succeeded"


def test_the_async_client_is_the_same_with_await(service: Service, picture: Path) -> None:
    jobs = service.services.jobs
    job = jobs.create("train", model="awaited")
    jobs.cancel(job.id)

    async def use() -> None:
        async with AsyncClient(service.url) as client:
            assert [each.id async for each in client.jobs(model="awaited")] == [job.id]
            news = [each async for each in client.watch(job.id)]
            assert [each.type for each in news if isinstance(each, Event)] == ["queued", "cancelled"]
            assert (await client.wait(job.id)).state == "cancelled"
            answer = await client.predict("vgg16", [picture])
            assert answer.predictions[0].filename == "0.jpg"
            with pytest.raises(ApiError, match="There is no dataset 'ds_none'"):
                await client.dataset("ds_none")

    anyio.run(use)


def test_wrong_arguments_are_told_before_anything_is_sent(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="received none"):
        client.predict("vgg16", [])
    with pytest.raises(InvalidInput, match="a version or an alias"):
        client.predict("vgg16", [b""], version=1, alias="stable")
    with pytest.raises(InvalidInput, match="No such file"):
        client.predict("vgg16", [tmp_path / "none.jpg"])
    for bad in ("bad\udcff.jpg", "by\udcff"):  # bytes that are not UTF-8, as Python reads them
        with pytest.raises(InvalidInput, match=r"a name in UTF-8; received b'b.*xff"):
            client.predict("vgg16", write(tmp_path, {bad: jpeg("discs", 0)}) / bad)
    with pytest.raises(InvalidInput, match=r"a name in UTF-8; received b'set.xff'"):
        client.upload(write(tmp_path / "set\udcff", {"a/1.jpg": b"1"}))


JOB = {"id": "job_1", "kind": "train", "state": "running", "created_at": "2026-11-24T09:00:00Z"}


def event(number: int, type: str) -> dict[str, object]:
    return {"id": number, "type": type, "data": {}, "at": "2026-11-24T09:00:00Z"}


def message(number: int, type: str) -> bytes:
    return f"id: {number}\nevent: {type}\ndata: {json.dumps(event(number, type))}\n\n".encode()


class Broken(httpx.SyncByteStream):
    """A stream of events whose connection drops in the middle of the second."""

    def __iter__(self) -> Iterator[bytes]:
        yield message(7, "queued")
        yield b": still here\n\nid: 8\neve"
        raise httpx.ReadError("dropped")


def test_watching_goes_on_where_the_connection_dropped_once_the_service_is_back() -> None:
    asked: list[httpx.Request] = []
    looks: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            looks.append(request)
            if len(looks) == 2:
                raise httpx.ConnectError("refused", request=request)
            return httpx.Response(200, json=JOB)
        asked.append(request)
        stream = {"Content-Type": "text/event-stream; charset=utf-8"}
        if len(asked) == 1:
            return httpx.Response(200, headers=stream, stream=Broken())
        progress = b'event: progress\ndata: {"phase": "training", "epoch": 2}\n\n'
        return httpx.Response(200, headers=stream, content=progress * 2 + message(8, "succeeded"))

    with HastyClient("http://graft", httpx.MockTransport(answer), patience=0) as client:
        silences: list[int] = []
        news = list(client.watch("job_1", on_silence=lambda: silences.append(1)))
    assert client.pauses == [LOOK_AGAIN] * 2
    assert silences == [1]
    assert [each.id if isinstance(each, Event) else each.epoch for each in news] == [7, 2, 8]
    assert [request.headers.get("Last-Event-ID") for request in asked] == [None, "7"]
    assert {request.headers["Accept"] for request in asked} == {"text/event-stream"}


def test_a_service_that_does_not_stream_is_asked_again_and_again() -> None:
    pages = iter([[event(1, "queued")], [], [event(2, "succeeded")]])
    states = iter(["queued", "running", "running", "succeeded"])

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, json={**JOB, "state": next(states), "progress": {"phase": "training"}})
        if request.headers["Accept"] == "text/event-stream":
            return httpx.Response(200, json={"data": []})
        return httpx.Response(200, json={"data": next(pages)})

    with HastyClient("http://graft", httpx.MockTransport(answer)) as client:
        news = list(client.watch("job_1"))
    assert client.pauses == [LOOK_AGAIN] * 2
    assert [each.id if isinstance(each, Event) else each.phase for each in news] == [1, "training", 2]


def test_a_service_that_does_not_answer_is_asked_until_patience_is_used_up(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with HastyClient("http://graft", httpx.MockTransport(answer), patience=7) as client:
        with pytest.raises(Unreachable):
            client.job("job_1")
        assert client.pauses == [*PAUSES, PAUSES[-1]]
    assert [record.message for record in caplog.records] == [
        "Graft must answer at http://graft/; it does not: refused. Trying again for up to 6 seconds."
    ]


def test_help_shows_what_a_method_takes_and_answers() -> None:
    for kind in (Client, AsyncClient):
        client = kind("http://graft")
        shown = inspect.signature(client.upload)
        assert list(shown.parameters)[:2] == ["source", "name"]
        assert shown.return_annotation is Dataset
        assert next(iter(inspect.signature(client.predict).parameters)) == "model"


def test_a_watcher_that_leaves_closes_its_connection() -> None:
    closed = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for number in range(1, 1000):
                yield message(number, "epoch")

        def close(self) -> None:
            closed.append(True)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Endless())
        return httpx.Response(200, json=JOB)

    with Client("http://graft", transport=httpx.MockTransport(answer)) as client:
        for news in client.watch("job_1"):
            assert isinstance(news, Event)
            break
        assert closed == [True]
