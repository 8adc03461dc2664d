"""Method -> handler: the whole surface on one page."""

from __future__ import annotations

import asyncio

from lsprotocol import types

from orlop.engine.engine import Engine
from orlop.protocol import containers as containers_wire
from orlop.protocol import methods, system
from orlop.rpc.dispatch import Dispatcher
from orlop.rpc.handlers.builds import BuildHandlers
from orlop.rpc.handlers.containers import ContainerHandlers
from orlop.rpc.handlers.documents import DocumentHandlers
from orlop.rpc.handlers.files import FileHandlers
from orlop.rpc.handlers.images import ImageHandlers
from orlop.rpc.handlers.registries import RegistryHandlers
from orlop.rpc.handlers.sessions import SessionHandlers
from orlop.rpc.handlers.system import SystemHandlers
from orlop.rpc.jobs import Lanes
from orlop.rpc.server import Server
from orlop.runtime.container import Container

SHUTDOWN_SECONDS = 1.5


def bind_all(dispatcher: Dispatcher, server: Server, engine: Engine, lanes: Lanes) -> None:
    """Bind every row of the table, the documents, and the end."""
    images, builds = ImageHandlers(engine), BuildHandlers(engine)
    registries = RegistryHandlers(engine)
    containers, about = ContainerHandlers(engine), SystemHandlers(engine)
    sessions, files = SessionHandlers(engine), FileHandlers(engine)

    dispatcher.bind(methods.SERVER_INFO, about.info)
    dispatcher.bind(methods.SERVER_USAGE, about.usage)
    dispatcher.bind(methods.SERVER_DOCTOR, about.doctor)
    dispatcher.bind(methods.IMAGE_LIST, images.list)
    dispatcher.bind(methods.IMAGE_INSPECT, images.inspect)
    dispatcher.bind(methods.IMAGE_HISTORY, images.history)
    dispatcher.bind(methods.IMAGE_TAG, images.tag)
    dispatcher.bind(methods.IMAGE_REMOVE, images.remove)
    dispatcher.bind(methods.IMAGE_SAVE, images.save)
    dispatcher.bind(methods.IMAGE_LOAD, images.load)
    dispatcher.bind(methods.IMAGE_PRUNE, images.prune)
    dispatcher.bind(methods.IMAGE_PULL, registries.pull)
    dispatcher.bind(methods.IMAGE_PUSH, registries.push)
    dispatcher.bind(methods.IMAGE_PUSH_PLAN, registries.push_plan)
    dispatcher.bind(methods.REGISTRY_LIST, registries.list)
    dispatcher.bind(methods.REGISTRY_LOGIN, registries.login)
    dispatcher.bind(methods.REGISTRY_LOGOUT, registries.logout)
    dispatcher.bind(methods.REGISTRY_SEARCH, registries.search)
    dispatcher.bind(methods.REGISTRY_REPOSITORIES, registries.repositories)
    dispatcher.bind(methods.REGISTRY_TAGS, registries.tags)
    dispatcher.bind(methods.REGISTRY_MANIFEST, registries.manifest)
    dispatcher.bind(methods.REGISTRY_DELETE_TAG, registries.delete_tag)
    dispatcher.bind(methods.REGISTRY_CREATE_REPOSITORY, registries.create_repository)
    dispatcher.bind(methods.REGISTRY_COPY, registries.copy)
    dispatcher.bind(methods.IMAGE_VALIDATE_REFERENCE, images.validate_reference)
    dispatcher.bind(methods.IMAGE_BUILD, builds.build)
    dispatcher.bind(methods.DOCKERFILE_DESCRIBE, builds.describe)
    dispatcher.bind(methods.CONTAINER_LIST, containers.list)
    dispatcher.bind(methods.CONTAINER_INSPECT, containers.inspect)
    dispatcher.bind(methods.CONTAINER_RUN, sessions.run)
    dispatcher.bind(methods.CONTAINER_START, containers.start)
    dispatcher.bind(methods.CONTAINER_RESTART, containers.restart)
    dispatcher.bind(methods.CONTAINER_COMMIT, containers.commit)
    dispatcher.bind(methods.CONTAINER_DIFF, containers.diff)
    dispatcher.bind(methods.CONTAINER_STOP, containers.stop)
    dispatcher.bind(methods.CONTAINER_KILL, containers.kill)
    dispatcher.bind(methods.CONTAINER_REMOVE, containers.remove)
    dispatcher.bind(methods.CONTAINER_PAUSE, containers.pause)
    dispatcher.bind(methods.CONTAINER_UNPAUSE, containers.unpause)
    dispatcher.bind(methods.CONTAINER_RENAME, containers.rename)
    dispatcher.bind(methods.CONTAINER_PRUNE, containers.prune)
    dispatcher.bind(methods.CONTAINER_STATS, containers.stats)
    dispatcher.bind(methods.CONTAINER_LOGS, sessions.logs)
    dispatcher.bind(methods.SESSION_EXEC, sessions.exec)
    dispatcher.bind(methods.SESSION_ATTACH, sessions.attach)
    dispatcher.bind(methods.FILE_STAT, files.stat)
    dispatcher.bind(methods.FILE_LIST, files.list)
    dispatcher.bind(methods.FILE_READ, files.read)
    dispatcher.bind(methods.FILE_WRITE, files.write)
    dispatcher.bind(methods.FILE_MAKE_DIRECTORY, files.make_directory)
    dispatcher.bind(methods.FILE_REMOVE, files.remove)
    dispatcher.bind(methods.FILE_RENAME, files.rename)
    dispatcher.bind(methods.FILE_COPY, files.copy)
    dispatcher.listen(methods.SESSION_INPUT, sessions.input)
    dispatcher.listen(methods.SESSION_RESIZE, sessions.resize)
    dispatcher.listen(methods.STREAM_ACK, lambda params: dispatcher.ack(params.token, params.characters))

    DocumentHandlers(server).bind(server.add)
    server.add(types.INITIALIZED, lambda _: _watch(dispatcher, engine))

    async def shutdown(_: None) -> None:
        await asyncio.get_running_loop().run_in_executor(None, lanes.cancel_all, SHUTDOWN_SECONDS)

    server.add(types.SHUTDOWN, shutdown)


def _watch(dispatcher: Dispatcher, engine: Engine) -> None:
    def changed(revision: int) -> None:
        dispatcher.notify(
            methods.STORE_DID_CHANGE, system.StoreDidChange(revision=revision, kinds=["images", "containers"])
        )

    def lived(ended: tuple[Container, ...]) -> None:
        for each in ended:
            code = each.exit.code if each.exit is not None else 0
            dispatcher.notify(methods.CONTAINER_DID_EXIT, containers_wire.ContainerDidExit(id=each.id, exit_code=code))
        revision = engine.store.journal.revision()
        dispatcher.notify(methods.STORE_DID_CHANGE, system.StoreDidChange(revision=revision, kinds=["containers"]))

    engine.watch(changed)
    engine.containers.watch(lived)
