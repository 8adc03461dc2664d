"""Method -> handler: the whole surface on one page."""

from __future__ import annotations

import asyncio

from lsprotocol import types

from orlop.engine.engine import Engine
from orlop.protocol import methods, system
from orlop.rpc.dispatch import Dispatcher
from orlop.rpc.handlers.builds import BuildHandlers
from orlop.rpc.handlers.containers import ContainerHandlers
from orlop.rpc.handlers.documents import DocumentHandlers
from orlop.rpc.handlers.images import ImageHandlers
from orlop.rpc.handlers.registries import RegistryHandlers
from orlop.rpc.handlers.system import SystemHandlers
from orlop.rpc.jobs import Lanes
from orlop.rpc.server import Server

SHUTDOWN_SECONDS = 1.5


def bind_all(dispatcher: Dispatcher, server: Server, engine: Engine, lanes: Lanes) -> None:
    """Bind every row of the table, the documents, and the end."""
    images, builds = ImageHandlers(engine), BuildHandlers(engine)
    registries = RegistryHandlers(engine)
    containers, about = ContainerHandlers(engine), SystemHandlers(engine)

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
    dispatcher.bind(methods.CONTAINER_RUN, containers.run)
    dispatcher.bind(methods.CONTAINER_START, containers.start)
    dispatcher.bind(methods.CONTAINER_RESTART, containers.restart)
    dispatcher.bind(methods.CONTAINER_COMMIT, containers.commit)
    dispatcher.bind(methods.CONTAINER_DIFF, containers.diff)
    dispatcher.bind(methods.CONTAINER_STOP, containers.stop)
    dispatcher.bind(methods.CONTAINER_KILL, containers.kill)
    dispatcher.bind(methods.CONTAINER_REMOVE, containers.remove)
    dispatcher.listen(methods.SESSION_INPUT, containers.input)
    dispatcher.listen(methods.SESSION_RESIZE, containers.resize)
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

    engine.watch(changed)
